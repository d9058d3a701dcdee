package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Repartition changes the number of a namespace's partitions to o.Partitions while no worker uses
// it. If the namespace has that number already, it does nothing.
//
// It first calls drain with the log as it is. If drain returns an error, everything stays as it
// was. Then it moves all rows to the partitions of their aggregates, in one transaction. Then it
// calls rebuild with the changed log. Until rebuild has succeeded, nobody can open the namespace.
// The next call with the same number continues with rebuild.
//
// Within each new partition, events are in the order of their times, then of their old partition
// and position. Positions count from 1 again. Times may go back in an old partition, or be more
// than a minute in the future. The greatest earlier time that is not in the future then counts in
// their place, so that the events of an aggregate keep their order. Cursors begin anew. Epochs are
// higher than before, so that nobody who opened the namespace earlier can commit. The position of
// a receipt is that of the command's last event. If the command had no events, it is the position
// of the new partition's last event at that time.
//
// Until it is done, Postgres holds the log three times: as it was, sorted, and as it will be. Like
// [Migrate], it takes a session of its own.
func Repartition(ctx context.Context, pool *pgxpool.Pool, o Options, drain, rebuild func(context.Context, *Postgres) error) error {
	o = o.withDefaults()
	if err := o.check(); err != nil {
		return err
	}
	if o.Partitions == 0 {
		return errors.New("repartition: say how many partitions the namespace is to have")
	}
	return maintain(ctx, pool, o, func(ctx context.Context, m maintenance) error {
		switch found := m.found; {
		case found.partitions == o.Partitions && found.maintenance == "":
			return nil
		case found.partitions == o.Partitions && found.maintenance == repartitioning: // only rebuild is left
		case found.maintenance != "":
			return found.unfinished(o.Namespace)
		default:
			if err := m.log(found.partitions).repartition(ctx, m.conn, o.Partitions, drain); err != nil {
				return fmt.Errorf("repartition namespace %q: %w", o.Namespace, err)
			}
		}
		if err := rebuild(ctx, m.log(o.Partitions)); err != nil {
			return err
		}
		return m.end(ctx)
	})
}

// repartition calls drain and then moves all rows. It fails if anybody acquired a partition in
// between.
func (s *Postgres) repartition(ctx context.Context, conn *pgx.Conn, partitions int, drain func(context.Context, *Postgres) error) error {
	before, err := s.epochs(ctx, conn)
	if err != nil {
		return err
	}
	if err := drain(ctx, s); err != nil {
		return err
	}
	move := func(lockTimeout string) error {
		return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			return (&relocation{Tx: tx, store: s, partitions: partitions}).run(ctx, before, lockTimeout)
		})
	}
	return s.evicting(ctx, move)
}

// epochs shows whether any partition was acquired between two moments.
type epochs struct{ sum, highest int64 }

func (s *Postgres) epochs(ctx context.Context, db querier) (e epochs, err error) {
	err = db.QueryRow(ctx, qualify(s.namespace,
		`select pg_catalog.sum(epoch)::bigint, pg_catalog.max(epoch) from maestro.partitions`)).Scan(&e.sum, &e.highest)
	return e, err
}
