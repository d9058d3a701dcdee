package protocol

import (
	"encoding/json"
	"fmt"
	"time"
)

// Status tells how a command ended.
type Status string

// The statuses of an [Outcome].
const (
	// Committed: the command's events, possibly none, are in the log.
	Committed Status = "committed"
	// Rejected: the rules of the aggregate refused the command. Asking again gives the same answer.
	Rejected Status = "rejected"
	// Failed: the command could not be handled, because it is malformed, unknown or late, or its
	// handler is broken.
	Failed Status = "failed"
)

// Error is the reason why a command was rejected or failed.
type Error struct {
	// Code is for programs, Message for people.
	Code    string `json:"code"`
	Message string `json:"message"`
	// Details are what the aggregate's rules add, as JSON; nil if nothing.
	Details json.RawMessage `json:"details,omitempty"`
}

func (e *Error) Error() string { return fmt.Sprintf("%s: %s", e.Code, e.Message) }

// Outcome is the answer to a command: the JSON that clients of every language read.
type Outcome struct {
	Status Status `json:"status"`
	// Duplicate is true if the command was handled before. The outcome is then the first one, given
	// again.
	Duplicate bool   `json:"duplicate,omitempty"`
	Aggregate string `json:"aggregate"`
	ID        string `json:"id"`
	CommandID string `json:"command_id,omitempty"`
	// Sequence is the aggregate's sequence after the command. Partition and Position are the
	// command's place in the log.
	Sequence  int64 `json:"sequence"`
	Partition int   `json:"partition"`
	Position  int64 `json:"position"`
	// Events are the command's events, if the command asked for them. State is the aggregate's
	// state after the command, if the command asked for it.
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
