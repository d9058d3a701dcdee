package protocol

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

// Error is why a command was rejected or failed.
type Error struct {
	// Code is for programs, Message for people.
	Code    string `json:"code"`
	Message string `json:"message"`
	// Details are what the aggregate's rules say beside that, as JSON, nil if nothing.
	Details json.RawMessage `json:"details,omitempty"`
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
	// Events are the command's events where it asked for them, State the aggregate's state after
	// it.
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
