package lane

import (
	"cmp"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/protocol"
	"github.com/maestro-es/maestro/store"
)

// Return says what a command wants in its outcome besides the status.
type Return uint8

// What an outcome can hold.
const (
	ReturnNone Return = iota
	ReturnEvents
	ReturnState
)

// Command is a command on its way through a lane.
type Command struct {
	// Key and ID are zero if the message has no valid ones. Such a command gets no receipt.
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
	// Deadline, if not zero, is the moment after which the command must not be evaluated.
	Deadline time.Time
	// Refusal, if set, is the command's outcome: the command is not evaluated.
	Refusal *Refusal
	// Cursor is the command's place in the command stream, zero for a request. Subject and Header
	// are the message's, for a dead letter.
	Cursor  store.Cursor
	Subject string
	Header  map[string][]string
	// Span, if not nil, traces the command. The lane ends the span when the outcome is known.
	Span trace.Span
	// Done receives the result after the commit. It must not block.
	Done func(Result)

	arrived time.Time // at the lane
	taken   bool      // its turn has come
}

// Result is the end of a command: its outcome, and what the command asked for.
type Result struct {
	// Outcome is the answer without events and state. Answer adds them.
	Outcome store.Outcome
	// Err is why the command was refused. It is nil if the command took effect. For a duplicate,
	// Err is the error in the receipt.
	Err error
	// Events are the command's events, if it wants them. Instance is the aggregate right after the
	// command, if it wants the state. The instance must not be changed.
	Events   []store.Event
	Instance aggregate.Instance

	patience time.Duration // how long to wait for the code that encodes the state
}

// show adds the events or the state, if the command wants them.
func (r *Result) show(want Return, events []store.Event, instance aggregate.Instance) {
	switch want {
	case ReturnNone:
	case ReturnEvents:
		r.Events = events
	case ReturnState:
		r.Instance = instance
	}
}

// Answer returns the outcome with the events or the state in it. If the state cannot be encoded,
// the outcome has an error with the code state unavailable, but the command took effect.
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

// addressed tells whether the command has an id and names an aggregate, so that it can have a
// receipt.
func (c *Command) addressed() bool { return c.ID != "" && c.Key.ID != "" && c.Key.Type != "" }

func (c *Command) key() store.CommandKey { return store.CommandKey{Key: c.Key, CommandID: c.ID} }

func (c *Command) metadata() store.Metadata {
	return store.Metadata{CommandID: c.ID, CorrelationID: c.CorrelationID, CausationID: c.CausationID,
		Traceparent: c.Traceparent, Tracestate: c.Tracestate}
}

// Read looks at an aggregate when its turn comes.
type Read struct {
	Key store.Key
	// Current makes the lane check that it still owns the partition. Without Current the answer may
	// be stale.
	Current bool
	// Look is called with the aggregate, and must not keep or change it. Look may be called again
	// if the batch is evaluated again.
	Look func(aggregate.Instance) error
	// Done receives the error of Look, or the error that prevented Look. It must not block.
	Done func(error)

	failed error // if set, Look must not be called again
}

// task is a command or a read.
type task struct {
	command *Command
	read    *Read
}

// arrive notes when a command came to the lane.
func (t task) arrive() {
	if t.command != nil {
		t.command.arrived = time.Now()
	}
}

func (t task) durable() bool { return t.command != nil && t.command.durable() }

// name returns the command's name, or "" for a read.
func (t task) name() string {
	if t.command == nil {
		return ""
	}
	return t.command.Name
}

// bytes returns the size of the command's body.
func (t task) bytes() int {
	if t.command == nil {
		return 0
	}
	return len(t.command.Body)
}

// taskBytes is roughly the memory of a task besides its body.
const taskBytes = 512

// weight returns the bytes that a task takes from the intake budget.
func (t task) weight() int64 { return int64(t.bytes()) + taskBytes }

func (t task) key() store.Key {
	if t.command != nil {
		return t.command.Key
	}
	return t.read.Key
}
