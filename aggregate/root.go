package aggregate

import "time"

// Root is an aggregate as a command or a reader sees it. It is a copy.
type Root[S any] struct {
	// ID is the aggregate's id, unique among the aggregates of its type.
	ID string
	// Sequence is the number of the aggregate's last event. It is 0 before the first event, then 1,
	// 2, 3 without a gap.
	Sequence int64
	// State is the fold of all events up to Sequence over the initial state.
	State S
	// Command describes the command that is being decided. It is the zero value if there is none, as
	// in a read.
	Command Metadata
}

// Metadata describes a command apart from its payload.
type Metadata struct {
	// ID names the command. The same id on the same aggregate takes effect once.
	ID string
	// CorrelationID is shared by everything that one cause set in motion. CausationID names the
	// direct cause. The client sets both. Both may be empty.
	CorrelationID, CausationID string
	// Time is the moment of the decision, and the time that its events will carry. Decide uses it
	// instead of the wall clock, so that a decision can be repeated.
	Time time.Time
}

// Command asks an aggregate with state S for a decision. It is decoded from the command's JSON.
//
// Decide returns the events that the command leads to, or none if nothing is to change. It returns
// an error to refuse the command; see [Reject]. It may run more than once, so it must not change
// the state that it is given, and must not do input or output.
type Command[S any] interface {
	Decide(Root[S]) ([]Event[S], error)
}

// Event is a fact about an aggregate with state S. It is stored as its JSON.
//
// Evolve returns the state after the event. It cannot fail. It must return a new value, and must
// not change anything that the given state refers to (maps, slices, pointers).
type Event[S any] interface {
	Evolve(S) S
}
