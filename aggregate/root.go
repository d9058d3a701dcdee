package aggregate

import "time"

// Root is an aggregate as a command, or a reader, sees it: a value of its own.
type Root[S any] struct {
	// ID is the aggregate's id, unique among the aggregates of its type.
	ID string
	// Sequence is the number of the aggregate's last event: 0 before the first, then 1, 2, 3 without a gap.
	Sequence int64
	// State is the fold of all events up to Sequence over the initial state.
	State S
	// Command describes the command that is being decided. It is the zero value where there is none, as in a read.
	Command Metadata
}

// Metadata is what is known of a command apart from its payload.
type Metadata struct {
	// ID names the command. The same id on the same aggregate takes effect once.
	ID string
	// CorrelationID is shared by everything that one cause set in motion; CausationID names the direct cause. Both
	// are the client's, and may be empty.
	CorrelationID, CausationID string
	// Time is the moment of the decision: the time its events will carry. Decide uses it instead of the wall clock,
	// so that a decision can be repeated.
	Time time.Time
}

// Command is a decision that can be asked of an aggregate with state S. It is decoded from the command's JSON.
//
// Decide returns the events that the command leads to, none when nothing is to change, or an error that refuses it;
// see [Reject]. It must not change the state it is given, and must not do input or output: it may run more than once.
type Command[S any] interface {
	Decide(Root[S]) ([]Event[S], error)
}

// Event is a fact about an aggregate with state S. It is stored as its JSON.
//
// Evolve returns the state after the event. It cannot fail, and must not change what the given state refers to (maps,
// slices, pointers): it returns a new value.
type Event[S any] interface {
	Evolve(S) S
}
