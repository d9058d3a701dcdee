package hostile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"runtime"
	"strings"
	"time"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/store"
)

// CommandHabit is a habit of an aggregate.
type CommandHabit struct {
	Habit
	Decide func(Misbehave, root) (events, error)
}

// fails is the habit of returning an error.
func fails(err error) func(Misbehave, root) (events, error) {
	return func(Misbehave, root) (events, error) { return nil, err }
}

// panics is the habit of panicking with a value.
func panics(value any) func(Misbehave, root) (events, error) {
	return func(Misbehave, root) (events, error) { panic(value) }
}

// emits is the habit of returning an event.
func emits(e aggregate.Event[Ledger]) func(Misbehave, root) (events, error) {
	return func(Misbehave, root) (events, error) { return events{e}, nil }
}

// evolves is the habit of an event that changes the state in its own way.
func evolves(how string) func(Misbehave, root) (events, error) { return emits(Wild{Habit: how}) }

// unprintable is an error that cannot say what it is.
type unprintable struct{}

func (*unprintable) Error() string { panic("an error that panics") }

var errNone *unprintable

// unregistered is an event without a name on the wire.
type unregistered struct{}

func (unregistered) Evolve(l Ledger) Ledger { return l }

// Deciding are the habits of Decide and Evolve.
var Deciding = []CommandHabit{
	{Habit{"decide panics", "failed panic"}, panics("no such luck")},
	{Habit{"decide panics with an error", "failed panic"}, panics(io.ErrUnexpectedEOF)},
	{Habit{"decide panics with nothing", "failed panic"}, panics(nil)},
	{Habit{"decide panics with a value that cannot be printed", "failed panic"}, panics(&unprintable{})},
	{Habit{"decide uses a nil pointer", "failed panic"}, func(Misbehave, root) (events, error) {
		var ledger *Ledger
		return events{Added{Text: ledger.Notes["a"]}}, nil
	}},
	{Habit{"decide writes a nil map", "failed panic"}, func(_ Misbehave, r root) (events, error) {
		r.State.Notes["a"] = "b"
		return nil, nil
	}},
	{Habit{"decide waits on a closed channel and then on itself", "failed panic"}, func(Misbehave, root) (events, error) {
		done := make(chan struct{})
		close(done)
		<-done
		close(done)
		return nil, nil
	}},
	{Habit{"evolve panics", "failed panic"}, evolves("panics")},
	{Habit{"evolve writes a nil map", "failed panic"}, evolves("nil map")},
	{Habit{"decide ends its goroutine", "failed panic"}, func(Misbehave, root) (events, error) { runtime.Goexit(); return nil, nil }},
	{Habit{"evolve ends its goroutine", "failed panic"}, evolves("exits")},
	{Habit{"evolve empties the state", "committed"}, evolves("empties")},
	{Habit{"writing the state panics", "committed state_unavailable"}, evolves("writing panics")},
	{Habit{"writing the state ends its goroutine", "committed state_unavailable"}, evolves("writing exits")},
	{Habit{"nothing happens", "committed"}, func(Misbehave, root) (events, error) { return nil, nil }},
	{Habit{"an event that is nil", "failed unregistered_event"}, emits(nil)},
	{Habit{"an event without a name", "failed unregistered_event"}, emits(unregistered{})},
	{Habit{"a pointer to an event", "failed unregistered_event"}, emits(&Added{})},
	{Habit{"events and an error", "failed handler_failed"}, func(Misbehave, root) (events, error) {
		return events{Added{}}, errors.New("and an error")
	}},
	{Habit{"a good event and one that panics", "failed panic"}, func(Misbehave, root) (events, error) {
		return events{Added{}, Wild{Habit: "panics"}, Added{}}, nil
	}},
	{Habit{"an error that wraps EOF", "failed handler_failed"}, fails(fmt.Errorf("read the picture: %w", io.ErrUnexpectedEOF))},
	{Habit{"an error that wraps a deadline", "failed handler_failed"}, fails(fmt.Errorf("ask the bank: %w", context.DeadlineExceeded))},
	{Habit{"an error that wraps a cancellation", "failed handler_failed"}, fails(fmt.Errorf("ask the bank: %w", context.Canceled))},
	{Habit{"an error of an HTTP client", "failed handler_failed"},
		fails(&url.Error{Op: "Get", URL: "http://bank", Err: context.DeadlineExceeded})},
	{Habit{"an error of a network", "failed handler_failed"},
		fails(&net.OpError{Op: "dial", Net: "tcp", Err: errors.New("conn closed: broken pipe")})},
	{Habit{"an error that pretends to be the fence's", "failed handler_failed"}, fails(store.ErrFenced)},
	{Habit{"an error that pretends to be a conflict", "failed handler_failed"}, fails(store.ErrConflict)},
	{Habit{"an error that pretends to be a duplicate", "failed handler_failed"}, fails(store.ErrDuplicate)},
	{Habit{"an error that is a nil pointer", "failed handler_failed or failed panic"}, fails(errNone)},
	{Habit{"an error that panics when it is read", "failed handler_failed or failed panic"}, fails(&unprintable{})},
	{Habit{"an error that cannot be stored", "failed handler_failed"}, fails(errors.New("not \xff UTF-8, \x00, a \u2028 line"))},
	{Habit{"an error of a megabyte", "failed handler_failed"}, fails(errors.New(strings.Repeat("long ", 200_000)))},
	{Habit{"a rejection without a code", "rejected"}, fails(aggregate.Reject("", ""))},
	{Habit{"a rejection whose code cannot be stored", "rejected"}, fails(aggregate.Reject("a\x00\xffb", "no"))},
	{Habit{"decide is slow", "committed"}, func(Misbehave, root) (events, error) {
		<-time.After(300 * time.Millisecond)
		return events{Added{}}, nil
	}},
	{Habit{"decide leaves a goroutine", "committed"}, func(Misbehave, root) (events, error) {
		go func() { <-time.After(time.Second) }()
		return events{Added{}}, nil
	}},
}

// Wild is an event that evolves in its own way. If Encode is not nil, the event is stored like
// Encode says.
type Wild struct {
	Habit  string
	Encode func() ([]byte, error)
}

// Evolve does what the habit says.
func (e Wild) Evolve(l Ledger) Ledger {
	switch e.Habit {
	case "panics":
		panic("no such state")
	case "nil map":
		l.Notes["a"] = "b"
	case "exits":
		runtime.Goexit()
	case "empties":
		l.Notes = nil
	case "writing panics", "writing exits":
		l.writes = e.Habit
	}
	l.Events++
	return l
}
