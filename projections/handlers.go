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

// handler is what a projection does with some of its events. A queued handler can also run in a
// transaction.
type handler struct {
	queue   func(into *pgx.Batch, event store.Event) error // nil unless the handler is queued
	project func(ctx context.Context, tx pgx.Tx, events []store.Event) error
	several bool // project takes several events in a call
}

// Each calls handle for each event of type E of the aggregate, in the order of the log, in the
// transaction that commits the event. If E is an interface, handle gets all events that implement
// it: all events of the aggregate with E = aggregate.Event[S]. handle must have effects in tx
// alone, because the transaction may be rolled back and run again.
//
// An error refuses the command that led to the event, and nothing of the command is kept. An
// [aggregate.Reject] refuses it with its own code, a violated constraint of the read model with
// "constraint_violated", and any other error with the failure "projection_failed". After a fault
// of the moment, such as a lost connection, the command is tried again instead.
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

// Batch is [Each] with all events of a transaction in one call, in the order of the log. There is
// at least one event. A read model that writes all events with one statement costs one exchange
// with Postgres instead of one for each event. If the projection has other handlers, their events
// come between two calls.
//
// An error does not say which event it is about. The batch is then tried in smaller parts until
// the command is found whose events fail by themselves. Only that command is refused, as with
// Each, at the cost of some rounds.
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
// that it queues goes to Postgres together with the commit. It runs in the transaction of the
// commit, in the order in which it was queued, and costs no exchange of its own. Use it for read
// models that write without reading first, as most do. If E is an interface, queue gets all events
// that implement it: all events of the aggregate with E = aggregate.Event[S]. If the projection
// also has handlers that are not queued, all its handlers run with the transaction in hand.
//
// An error refuses the command that led to the event, and nothing of the command is kept. An
// [aggregate.Reject] refuses it with its own code, a violated constraint of the read model with
// "constraint_violated", and any other error with the failure "projection_failed". When Postgres
// refuses something, all commits in the same transaction have to be made again. If that is nothing
// unusual, [Each] is the better choice.
//
// queue must not wait for anything. It may be called again for the same event. The results of the
// SQL are not read. The text of the SQL should be the same for all events, with the differences as
// arguments, because each connection prepares each text once and keeps 256. SQL that begins, ends
// or divides a transaction is refused. SQL that runs code (do, call) gets a transaction apart from
// other partitions.
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

// typed returns the event with its data as the user's type.
func typed[E any](e store.Event) (Event[E], error) {
	data, ok := e.Value.(E)
	if !ok {
		return Event[E]{}, fmt.Errorf("event %s %s has the Go type %T", e.Aggregate.Type, e.Type, e.Value)
	}
	return Event[E]{Event: e, Data: data}, nil
}
