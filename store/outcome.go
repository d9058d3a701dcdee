package store

import (
	"time"

	"github.com/maestro-es/maestro/protocol"
)

// An outcome is stored and answered in the words of package protocol.
type (
	// Status is what became of a command.
	Status = protocol.Status
	// Error is why a command was rejected or failed.
	Error = protocol.Error
	// Outcome is the answer to a command.
	Outcome = protocol.Outcome
	// OutcomeEvent is an event in an outcome.
	OutcomeEvent = protocol.OutcomeEvent
)

// The statuses of an [Outcome].
const (
	Committed = protocol.Committed
	Rejected  = protocol.Rejected
	Failed    = protocol.Failed
)

// Receipt is the lasting record of a command's outcome, found by the command's id.
type Receipt struct {
	Aggregate Key
	CommandID string
	Status    Status
	// Sequence is the aggregate's sequence after the command. Position is the partition's position
	// after it. Events is how many events the command led to: they are the last ones of the aggregate
	// up to Sequence.
	Sequence, Position int64
	Events             int
	// Error is nil for a committed command.
	Error *Error
	// At is when the command was handled, by the store's clock or by the worker's clock, whichever
	// was later.
	At time.Time
}

// Key returns the key under which the receipt is found.
func (r Receipt) Key() CommandKey { return CommandKey{Key: r.Aggregate, CommandID: r.CommandID} }

// InOutcome returns the event as an outcome shows it.
func (e Event) InOutcome() OutcomeEvent {
	return OutcomeEvent{Sequence: e.Sequence, Position: e.Position, Type: e.Type, Version: e.Version, Body: e.Body,
		RecordedAt: e.RecordedAt}
}

// Outcome returns the receipt's outcome as it is given again, without events and state.
func (r Receipt) Outcome(partition int) Outcome {
	return Outcome{Status: r.Status, Duplicate: true, Aggregate: r.Aggregate.Type, ID: r.Aggregate.ID,
		CommandID: r.CommandID, Sequence: r.Sequence, Partition: partition, Position: r.Position, Error: r.Error}
}
