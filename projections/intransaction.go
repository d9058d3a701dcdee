package projections

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/store"
)

// InTransaction calls project for each event of type E of the aggregate, in the order of the log, in the transaction
// that commits it, with the namespace's schema first in the search path. If E is an interface, these are the events that
// implement it: all of them with E = aggregate.Event[S]. Project works in tx alone: the transaction may be rolled back and
// run again.
//
// An error refuses the command that led to the event, with nothing of it kept: an [aggregate.Reject] with its own code, a
// violated constraint of the read model as "constraint_violated", anything else as the failure "projection_failed". A fault
// of the moment, such as a lost connection, is tried again instead.
func InTransaction[S any, E aggregate.Event[S]](
	name string, of *aggregate.Definition[S],
	project func(ctx context.Context, tx pgx.Tx, e Event[E]) error, options ...Option,
) *Projection {
	p := define[S, E](name, of, options)
	p.project = func(ctx context.Context, tx pgx.Tx, events []store.Event) error {
		for _, e := range events {
			typed, err := typed[E](e)
			if err != nil {
				return err
			}
			if err := project(ctx, tx, typed); err != nil {
				return err
			}
		}
		return nil
	}
	return p
}

// InTransactionBatch is [InTransaction] with all events of a transaction in one call, in the order of the log, and at least one:
// a read model that writes them with one statement costs one exchange with Postgres instead of one for each event. It runs
// after the projections that take one event at a time.
//
// An error does not say which event it is about. The batch is then tried in smaller parts until the command is found whose
// events alone fail, and only that one is refused: the same as with InTransaction, at the cost of some rounds.
func InTransactionBatch[S any, E aggregate.Event[S]](
	name string, of *aggregate.Definition[S],
	project func(ctx context.Context, tx pgx.Tx, events []Event[E]) error, options ...Option,
) *Projection {
	p := define[S, E](name, of, options)
	p.batched = true
	p.project = func(ctx context.Context, tx pgx.Tx, events []store.Event) error {
		all := make([]Event[E], len(events))
		for i, e := range events {
			var err error
			if all[i], err = typed[E](e); err != nil {
				return err
			}
		}
		return project(ctx, tx, all)
	}
	return p
}
