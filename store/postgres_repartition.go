package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Repartition changes the number of a namespace's partitions to that of the options, while nobody
// works on it.
//
// It calls drain with the log as it is, whose error leaves everything as it was; then it gives all
// rows the partition of their aggregate, in one transaction; then it calls rebuild with the log as
// it has become. Until rebuild has succeeded, nobody can open the namespace: the next call with the
// same number goes on there. Nothing is done where the namespace has that number already.
//
// Within each new partition events stand in the order of their times, then of their old partition
// and position, and positions count from 1 again. Where times go back in an old partition, or are
// more than a minute in the future, the greatest one so far that is not counts: the events of an
// aggregate keep their order. Cursors begin anew, with higher epochs than before, so that whoever
// had opened the namespace earlier can commit nothing more. A receipt's position is that of the
// command's last event, or of the new partition's last event at that time where the command had
// none.
//
// Postgres holds the log three times until it is done: as it was, sorted, and as it will be. Like
// [Migrate] it takes a session of its own.
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
		case found.partitions == o.Partitions && found.maintenance == repartitioning: // the log has moved
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

// repartition moves all rows, if nobody acquires a partition between the call of drain and that.
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

// epochs tell whether any partition was acquired between two moments.
type epochs struct{ sum, highest int64 }

func (s *Postgres) epochs(ctx context.Context, db querier) (e epochs, err error) {
	err = db.QueryRow(ctx, qualify(s.namespace,
		`select pg_catalog.sum(epoch)::bigint, pg_catalog.max(epoch) from maestro.partitions`)).Scan(&e.sum, &e.highest)
	return e, err
}
