package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// What may be under way, as the mark in the settings names it. A person who restores a backup may
// set any other mark.
const (
	repartitioning = "repartition"
	republishing   = "republish"
)

// unfinished says what is under way and how it ends.
func (found settings) unfinished(namespace string) error {
	remedy := "worker republish"
	if found.maintenance == repartitioning {
		remedy = fmt.Sprintf("worker repartition --partitions %d", found.partitions)
	}
	return fmt.Errorf("%w: a %s of namespace %q has begun and is not finished: wait for it or, if it was interrupted, "+
		"finish with `%s`", ErrMaintenance, found.maintenance, namespace, remedy)
}

// lockMaintenance returns a session that holds the namespace's lock for maintenance, as long as it
// lasts. It waits for the session of a call that was killed to end.
func lockMaintenance(ctx context.Context, pool *pgxpool.Pool, namespace string) (*pgx.Conn, error) {
	pooled, err := pool.Acquire(ctx)
	if err != nil {
		return nil, fmt.Errorf("maintain namespace %q: %w", namespace, err)
	}
	conn := pooled.Hijack()
	_, err = conn.Exec(ctx, `set lock_timeout = '30s'`)
	if err == nil {
		_, err = conn.Exec(ctx, `select pg_catalog.pg_advisory_lock(
			pg_catalog.hashtextextended('maestro maintenance ' || $1::text, 0::bigint))`, namespace)
	}
	if isLocked(err) {
		err = errors.New("somebody else is at it: wait until they are done")
	}
	if err != nil {
		_ = conn.Close(context.WithoutCancel(ctx))
		return nil, fmt.Errorf("maintain namespace %q: %w", namespace, err)
	}
	return conn, nil
}

// endMaintenance lets workers in again.
func endMaintenance(ctx context.Context, pool *pgxpool.Pool, namespace string) error {
	_, err := pool.Exec(ctx, qualify(namespace, `update maestro.settings set maintenance = ''`))
	return err
}

// existing brings a namespace up to date, but makes none.
func existing(ctx context.Context, pool *pgxpool.Pool, o Options) (found settings, err error) {
	namespace := o.Namespace
	if found, err = readSettings(ctx, pool, namespace); err != nil {
		return found, err
	}
	if found.version == 0 {
		return found, fmt.Errorf("there is no namespace %q in this database: is it another one, or another database?", namespace)
	}
	if found, err = prepare(ctx, pool, Options{Namespace: namespace, Logger: o.Logger, steps: o.steps}); err != nil {
		return found, err
	}
	if known := len(o.schema()); found.version > known { // it may hold what this program would forget
		return found, &SchemaError{Namespace: namespace, Version: found.version, LeastProgram: found.version, Known: known}
	}
	return found, nil
}

// Republish has rebuild publish the whole log anew while no worker can own a partition.
//
// It calls check first, whose error leaves everything as it was. Then it sets the mark that keeps
// workers out, makes owner the owner of all partitions, so that whoever had one can commit nothing
// more, and forgets what is known to be published. It calls rebuild with the log and the rows of
// all partitions, and takes the mark away when rebuild has succeeded. Until then nobody can open
// the namespace, and the next call begins anew.
func Republish(ctx context.Context, pool *pgxpool.Pool, o Options, owner string, check func(context.Context) error,
	rebuild func(context.Context, *Postgres, []Partition) error,
) error {
	o = o.withDefaults()
	p, err := openPools(pool, o)
	if err != nil {
		return err
	}
	defer p.close()
	conn, err := lockMaintenance(ctx, p.work, o.Namespace)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	found, err := existing(ctx, p.control, o)
	switch {
	case err != nil:
		return err
	case found.maintenance == repartitioning:
		return found.unfinished(o.Namespace)
	}
	if err := errors.Join(found.check(o), check(ctx)); err != nil {
		return err
	}
	log := newPostgres(p, o, found.partitions)
	rows, err := log.shutOut(ctx, owner)
	if err != nil {
		return fmt.Errorf("republish namespace %q: %w", o.Namespace, err)
	}
	if err := rebuild(ctx, log, rows); err != nil {
		return err
	}
	return endMaintenance(ctx, p.work, o.Namespace)
}

// shutOut sets the mark, after which nobody can acquire a partition, and then takes all of them.
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

// takeAll locks the rows in the order in which commits of several partitions do.
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
