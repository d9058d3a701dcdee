package store

import (
	"encoding/json"
	"fmt"
	"time"
)

// Status is what became of a command.
type Status string

// The statuses of an [Outcome].
const (
	// Committed: the command's events, possibly none, are in the log.
	Committed Status = "committed"
	// Rejected: the rules of the aggregate refused it; asking again gives the same answer.
	Rejected Status = "rejected"
	// Failed: it could not be handled: malformed, unknown, late, or its handler is broken.
	Failed Status = "failed"
)

// Receipt is the lasting record of a command's outcome, found by the command's id.
type Receipt struct {
	Aggregate Key
	CommandID string
	Status    Status
	// Sequence is the aggregate's after the command, Position the partition's; Events is how many of the aggregate's
	// events, the last of them Sequence, are the command's.
	Sequence, Position int64
	Events             int
	// Error is nil for a committed command.
	Error *Error
	// At is when the command was handled, by the store's clock or by that of whoever handled it, whichever was later.
	At time.Time
}

// Key is the key under which the receipt is found.
func (r Receipt) Key() CommandKey { return CommandKey{Key: r.Aggregate, CommandID: r.CommandID} }

// Error is why a command was rejected or failed.
type Error struct {
	// Code is for programs, Message for people.
	Code    string `json:"code"`
	Message string `json:"message"`
}

func (e *Error) Error() string { return fmt.Sprintf("%s: %s", e.Code, e.Message) }

// Outcome is the answer to a command: the JSON that clients of every language read.
type Outcome struct {
	Status Status `json:"status"`
	// Duplicate marks the first outcome given again: the command was handled before.
	Duplicate bool   `json:"duplicate,omitempty"`
	Aggregate string `json:"aggregate"`
	ID        string `json:"id"`
	CommandID string `json:"command_id,omitempty"`
	// Sequence is the aggregate's after the command; Partition and Position the log's.
	Sequence  int64 `json:"sequence"`
	Partition int   `json:"partition"`
	Position  int64 `json:"position"`
	// Events are the command's events where it asked for them, State the aggregate's state after it.
	Events []OutcomeEvent  `json:"events,omitempty"`
	State  json.RawMessage `json:"state,omitempty"`
	Error  *Error          `json:"error,omitempty"`
}

// OutcomeEvent is an event in an outcome.
type OutcomeEvent struct {
	Sequence   int64           `json:"sequence"`
	Position   int64           `json:"position"`
	Type       string          `json:"type"`
	Version    int             `json:"version"`
	Body       json.RawMessage `json:"body"`
	RecordedAt time.Time       `json:"recorded_at"`
}

// InOutcome is the event as an outcome shows it.
func (e Event) InOutcome() OutcomeEvent {
	return OutcomeEvent{Sequence: e.Sequence, Position: e.Position, Type: e.Type, Version: e.Version, Body: e.Body,
		RecordedAt: e.RecordedAt}
}

// Outcome is the receipt's outcome, as it is given again: without events and state.
func (r Receipt) Outcome(partition int) Outcome {
	return Outcome{Status: r.Status, Duplicate: true, Aggregate: r.Aggregate.Type, ID: r.Aggregate.ID,
		CommandID: r.CommandID, Sequence: r.Sequence, Partition: partition, Position: r.Position, Error: r.Error}
}
