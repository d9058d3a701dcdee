package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// These are Maestro's marks in the settings for work that is under way. A person who restores a
// backup may set any other mark.
const (
	repartitioning = "repartition"
	republishing   = "republish"
)

// unfinished returns an error that says what is under way and how to finish it.
func (found settings) unfinished(namespace string) error {
	remedy := "worker republish"
	if found.maintenance == repartitioning {
		remedy = fmt.Sprintf("worker repartition --partitions %d", found.partitions)
	}
	return fmt.Errorf("%w: a %s of namespace %q has begun and is not finished: wait for it or, if it was interrupted, "+
		"finish with `%s`", ErrMaintenance, found.maintenance, namespace, remedy)
}

// maintenance is an operator's command that is under way and holds the namespace's lock for
// maintenance.
type maintenance struct {
	pools   *pools
	options Options
	conn    *pgx.Conn // the session that holds the lock
	found   settings
}

// maintain carries out an operator's command by calling work. The settings tell work whether
// another command, or an earlier call of the same one, was interrupted. When work begins to change
// something, it sets the mark that keeps workers out. It ends with [maintenance.end].
func maintain(ctx context.Context, pool *pgxpool.Pool, o Options, work func(context.Context, maintenance) error) error {
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
	if err != nil {
		return err
	}
	return work(ctx, maintenance{pools: p, options: o, conn: conn, found: found})
}

// end removes the mark, so that workers can use the namespace again.
func (m maintenance) end(ctx context.Context) error {
	_, err := m.pools.work.Exec(ctx, qualify(m.options.Namespace, `update maestro.settings set maintenance = ''`))
	return err
}

// log returns the namespace's log with the given number of partitions.
func (m maintenance) log(partitions int) *Postgres {
	return newPostgres(m.pools, m.options, partitions)
}

// lockMaintenance returns a session that holds the namespace's lock for maintenance as long as the
// session lasts. If a killed call still has a session, lockMaintenance waits for the end of that
// session.
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

// existing brings a namespace up to date, but does not create one.
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
	if known := len(o.schema()); found.version > known { // it may hold data that this program would lose
		return found, &SchemaError{Namespace: namespace, Version: found.version, LeastProgram: found.version, Known: known}
	}
	return found, nil
}
