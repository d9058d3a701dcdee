package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Republish calls rebuild, which publishes the whole log anew, while no worker can own a
// partition.
//
// It first calls check. If check returns an error, everything stays as it was. Then it sets the
// mark that keeps workers out. It makes owner the owner of all partitions, so that no former owner
// can commit, and forgets which events are known to be published. It calls rebuild with the log
// and the rows of all partitions. When rebuild has succeeded, it removes the mark. Until then
// nobody can open the namespace, and the next call begins anew.
func Republish(ctx context.Context, pool *pgxpool.Pool, o Options, owner string, check func(context.Context) error,
	rebuild func(context.Context, *Postgres, []Partition) error,
) error {
	return maintain(ctx, pool, o.withDefaults(), func(ctx context.Context, m maintenance) error {
		if m.found.maintenance == repartitioning {
			return m.found.unfinished(m.options.Namespace)
		}
		if err := errors.Join(m.found.check(m.options), check(ctx)); err != nil {
			return err
		}
		log := m.log(m.found.partitions)
		rows, err := log.shutOut(ctx, owner)
		if err != nil {
			return fmt.Errorf("republish namespace %q: %w", m.options.Namespace, err)
		}
		if err := rebuild(ctx, log, rows); err != nil {
			return err
		}
		return m.end(ctx)
	})
}

// shutOut sets the mark and then takes all partitions. Nobody can acquire a partition once the
// mark is set.
func (s *Postgres) shutOut(ctx context.Context, owner string) (rows []Partition, err error) {
	_, err = s.pool.Exec(ctx, qualify(s.namespace, `update maestro.settings set maintenance = $1`), republishing)
	if err != nil {
		return nil, err
	}
	err = s.evicting(ctx, func(lockTimeout string) error {
		rows, err = s.takeAll(ctx, owner, lockTimeout)
		return err
	})
	return rows, err
}

// takeAll makes owner the owner of all partitions. It locks their rows in the same order as
// commits of several partitions do.
func (s *Postgres) takeAll(ctx context.Context, owner, lockTimeout string) (rows []Partition, err error) {
	var batch pgx.Batch
	batch.Queue(`select pg_catalog.set_config('lock_timeout', $1, true)`, lockTimeout)
	batch.Queue(qualify(s.namespace, `select from maestro.partitions order by partition for update`))
	batch.Queue(qualify(s.namespace, `update maestro.partitions set owner = $1, epoch = epoch + 1,
		published_position = 0, event_stream = null`), owner)
	batch.Queue(s.sql.rows, s.partitions).Query(func(found pgx.Rows) error {
		rows, err = pgx.CollectRows(found, func(row pgx.CollectableRow) (Partition, error) { return scanPartition(row) })
		return err
	})
	return rows, s.pool.SendBatch(ctx, &batch).Close()
}
