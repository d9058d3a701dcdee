package lane

import (
	"cmp"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/protocol"
	"github.com/maestro-es/maestro/store"
)

// Return is what a command wants in its outcome beside the status.
type Return uint8

// What an outcome can hold.
const (
	ReturnNone Return = iota
	ReturnEvents
	ReturnState
)

// Command is a command on its way through a lane.
type Command struct {
	// Key and ID are zero where the message does not say them in a valid way; there is no receipt
	// then.
	Key                     store.Key
	ID                      string
	Name                    string
	Body                    []byte
	CorrelationID           string
	CausationID             string
	Traceparent, Tracestate string
	Return                  Return
	// ExpectSequence, if not nil, refuses the command when the aggregate is at another sequence.
	ExpectSequence *int64
	// Deadline, if not zero, is the moment after which the command must not be evaluated any more.
	Deadline time.Time
	// Refusal is set when the command cannot be evaluated: it then only gets this outcome.
	Refusal *Refusal
	// Cursor is the command's place in the command stream, zero for a request. Subject and Header
	// are the message's, for a dead letter.
	Cursor  store.Cursor
	Subject string
	Header  map[string][]string
	// Span, if not nil, records the command's way. The lane ends it with the outcome.
	Span trace.Span
	// Done gets the result after the commit. It must not block.
	Done func(Result)

	arrived time.Time // at the lane
	taken   bool      // its turn has come
}

// Result is what became of a command.
type Result struct {
	// Outcome is the answer without events and state; see Answer.
	Outcome store.Outcome
	// Err is why the command was refused, nil if it was not or if the outcome is given again.
	Err error
	// Events are the command's where it wants them, Instance the aggregate right after it where it
	// wants the state. The instance must not be changed.
	Events   []store.Event
	Instance aggregate.Instance

	patience time.Duration // with the code that writes the state
}

// show adds what a command wants beside its outcome.
func (r *Result) show(want Return, events []store.Event, instance aggregate.Instance) {
	switch want {
	case ReturnNone:
	case ReturnEvents:
		r.Events = events
	case ReturnState:
		r.Instance = instance
	}
}

// Answer is the outcome with the events or the state in it. A state that has no JSON does not undo
// the command.
func (r *Result) Answer() store.Outcome {
	o := r.Outcome
	for _, e := range r.Events {
		o.Events = append(o.Events, e.InOutcome())
	}
	if r.Instance != nil {
		key := store.Key{Type: o.Aggregate, ID: o.ID}
		state, err := encode("state", key, cmp.Or(r.patience, defaultSilence), r.Instance.State)
		if err != nil {
			o.Error = &store.Error{Code: protocol.CodeStateUnavailable, Message: err.Error()}
		}
		o.State = state
	}
	return o
}

// durable tells whether the command came from the command stream.
func (c *Command) durable() bool { return c.Cursor.Sequence > 0 }

// addressed tells whether the command names an aggregate and itself, so that it can have a receipt.
func (c *Command) addressed() bool { return c.ID != "" && c.Key.ID != "" && c.Key.Type != "" }

func (c *Command) key() store.CommandKey { return store.CommandKey{Key: c.Key, CommandID: c.ID} }

func (c *Command) metadata() store.Metadata {
	return store.Metadata{CommandID: c.ID, CorrelationID: c.CorrelationID, CausationID: c.CausationID,
		Traceparent: c.Traceparent, Tracestate: c.Tracestate}
}

// Read looks at an aggregate in its turn.
type Read struct {
	Key store.Key
	// Current makes sure that the lane still owns the partition; without it the answer may be
	// stale.
	Current bool
	// Look is called with the aggregate, which it must not keep or change. It may be called again
	// when a batch is evaluated anew.
	Look func(aggregate.Instance) error
	// Done gets Look's error, or that of the way there. It must not block.
	Done func(error)

	failed error // Look must not be called again
}

// task is one of the two things that a lane does in turn.
type task struct {
	command *Command
	read    *Read
}

// arrive notes when a command comes to the lane.
func (t task) arrive() {
	if t.command != nil {
		t.command.arrived = time.Now()
	}
}

func (t task) durable() bool { return t.command != nil && t.command.durable() }

// name is that of the command, if it is one.
func (t task) name() string {
	if t.command == nil {
		return ""
	}
	return t.command.Name
}

// bytes is the size of what the task brings.
func (t task) bytes() int {
	if t.command == nil {
		return 0
	}
	return len(t.command.Body)
}

// taskBytes is what a task takes besides its body, roughly.
const taskBytes = 512

// weight is what a task counts in the budget of what waits.
func (t task) weight() int64 { return int64(t.bytes()) + taskBytes }

func (t task) key() store.Key {
	if t.command != nil {
		return t.command.Key
	}
	return t.read.Key
}
