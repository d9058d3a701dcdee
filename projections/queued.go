package projections

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/store"
)

// Queued calls queue for each event of type E of the aggregate, in the order of the log. The SQL that it queues goes to Postgres together
// with the commit and runs in its transaction, in the order in which it was queued, with the namespace's schema first in the search path:
// such a read model costs no exchange of its own. It is for those that write without reading first, which most do. If E is an interface,
// these are the events that implement it: all of them with E = aggregate.Event[S].
//
// An error refuses the command that led to the event, with nothing of it kept: an [aggregate.Reject] with its own code, a violated
// constraint of the read model as "constraint_violated", anything else as the failure "projection_failed". Commits that go together all
// have to be made again when Postgres refuses something: where that is nothing unusual, [InTransaction] is the better choice.
//
// Queue must not wait for anything, and may be called again for the same event. What the SQL returns is not read. Let its text be the same
// for all events, and what differs be arguments: each connection prepares a text once, and keeps 256.
// SQL that begins, ends or divides a transaction is refused; what runs code (do, call) gets a transaction apart from other partitions.
func Queued[S any, E aggregate.Event[S]](
	name string, of *aggregate.Definition[S], queue func(into *pgx.Batch, e Event[E]) error, options ...Option,
) *Projection {
	p := define[S, E](name, of, options)
	p.queue = func(into *pgx.Batch, event store.Event) error {
		typed, err := typed[E](event)
		if err != nil {
			return err
		}
		before := into.Len()
		if err := queue(into, typed); err != nil {
			return err
		}
		for _, q := range into.QueuedQueries[before:] {
			if q.Fn != nil {
				return errResult
			}
		}
		return nil
	}
	p.project = func(ctx context.Context, tx pgx.Tx, events []store.Event) error {
		var batch pgx.Batch
		for _, e := range events {
			if err := p.queue(&batch, e); err != nil {
				return err
			}
		}
		return tx.SendBatch(ctx, &batch).Close()
	}
	return p
}

var errResult = errors.New("what queued SQL returns comes after the commit: use projections.InTransaction to read it")
