package projections

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"github.com/jackc/pgx/v5"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/store"
)

// handler is what a projection does with some of its events. One that is queued can be run in a
// transaction too.
type handler struct {
	queue   func(into *pgx.Batch, event store.Event) error // nil unless the handler is queued
	project func(ctx context.Context, tx pgx.Tx, events []store.Event) error
	several bool // project takes several events in a call
}

// Each calls handle for each event of type E of the aggregate, in the order of the log, in the
// transaction that commits it. If E is an interface, these are the events that implement it: all of
// them with E = aggregate.Event[S]. Handle works in tx alone: the transaction may be rolled back
// and run again.
//
// An error refuses the command that led to the event, with nothing of it kept: an
// [aggregate.Reject] with its own code, a violated constraint of the read model as
// "constraint_violated", anything else as the failure "projection_failed". A fault of the moment,
// such as a lost connection, is tried again instead.
func Each[S any, E aggregate.Event[S]](
	of *aggregate.Definition[S], handle func(ctx context.Context, tx pgx.Tx, e Event[E]) error,
) Option {
	return handling[S, E](of, &handler{
		project: func(ctx context.Context, tx pgx.Tx, events []store.Event) error {
			e, err := typed[E](events[0])
			if err != nil {
				return err
			}
			return handle(ctx, tx, e)
		},
	})
}

// Batch is [Each] with all events of a transaction in one call, in the order of the log, and at
// least one: a read model that writes them with one statement costs one exchange with Postgres
// instead of one for each event. Where the projection has other handlers, an event that is theirs
// comes between two calls.
//
// An error does not say which event it is about. The batch is then tried in smaller parts until the
// command is found whose events alone fail, and only that one is refused: the same as with Each, at
// the cost of some rounds.
func Batch[S any, E aggregate.Event[S]](
	of *aggregate.Definition[S], handle func(ctx context.Context, tx pgx.Tx, events []Event[E]) error,
) Option {
	return handling[S, E](of, &handler{
		several: true,
		project: func(ctx context.Context, tx pgx.Tx, events []store.Event) error {
			all := make([]Event[E], len(events))
			for i, e := range events {
				var err error
				if all[i], err = typed[E](e); err != nil {
					return err
				}
			}
			return handle(ctx, tx, all)
		},
	})
}

// Queue calls queue for each event of type E of the aggregate, in the order of the log. The SQL
// that it queues goes to Postgres together with the commit and runs in its transaction, in the
// order in which it was queued: such a read model costs no exchange of its own. It is for those
// that write without reading first, which most do. If E is an interface, these are the events that
// implement it: all of them with E = aggregate.Event[S]. Where the projection also has handlers
// that are not queued, all of them work with the transaction in hand.
//
// An error refuses the command that led to the event, with nothing of it kept: an
// [aggregate.Reject] with its own code, a violated constraint of the read model as
// "constraint_violated", anything else as the failure "projection_failed". Commits that go together
// all have to be made again when Postgres refuses something: where that is nothing unusual, [Each]
// is the better choice.
//
// Queue must not wait for anything, and may be called again for the same event. What the SQL
// returns is not read. Let its text be the same for all events, and what differs be arguments: each
// connection prepares a text once, and keeps
// 256. SQL that begins, ends or divides a transaction is refused; what runs code (do, call) gets a transaction apart
// from other partitions.
func Queue[S any, E aggregate.Event[S]](of *aggregate.Definition[S], queue func(into *pgx.Batch, e Event[E]) error) Option {
	one := func(into *pgx.Batch, event store.Event) error {
		e, err := typed[E](event)
		if err != nil {
			return err
		}
		before := into.Len()
		if err := queue(into, e); err != nil {
			return err
		}
		for _, q := range into.QueuedQueries[before:] {
			switch {
			case q.Fn != nil:
				return errResult
			case q.SQL == "":
				return errEmpty // pgx panics when it sends one
			}
		}
		return nil
	}
	return handling[S, E](of, &handler{
		queue: one, several: true,
		project: func(ctx context.Context, tx pgx.Tx, events []store.Event) error {
			var batch pgx.Batch
			for _, e := range events {
				if err := one(&batch, e); err != nil {
					return err
				}
			}
			return tx.SendBatch(ctx, &batch).Close()
		},
	})
}

var (
	errResult = errors.New("what queued SQL returns comes after the commit: use projections.Each to read it")
	errEmpty  = errors.New("an empty text was queued: expected a statement of SQL")
)

// handling adds a handler for the aggregate's events of type E.
func handling[S any, E aggregate.Event[S]](of *aggregate.Definition[S], h *handler) Option {
	return func(p *Projection) {
		goType, found := reflect.TypeFor[E](), false
		for _, event := range of.EventNames() {
			if t, _ := of.EventType(event); t.AssignableTo(goType) {
				name := eventName{of.Name(), event}
				p.handlers[name], found = append(p.handlers[name], h), true
			}
		}
		if !found {
			p.mistake(fmt.Errorf("aggregate %q emits no event of type %s: add aggregate.Emits to its definition", of.Name(), goType))
		}
		p.queued = p.queued && h.queue != nil
	}
}

// typed gives an event the user's type.
func typed[E any](e store.Event) (Event[E], error) {
	data, ok := e.Value.(E)
	if !ok {
		return Event[E]{}, fmt.Errorf("event %s %s has the Go type %T", e.Aggregate.Type, e.Type, e.Value)
	}
	return Event[E]{Event: e, Data: data}, nil
}
