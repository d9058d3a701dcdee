package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/maestro-es/maestro/internal/wire"
)

// Options are the settings of a namespace in Postgres. A number that differs from the one the
// namespace was created with is refused.
type Options struct {
	// Namespace is the schema that holds all tables. The default is "maestro". The name is quoted,
	// but not checked here.
	Namespace string
	// Partitions is the number of partitions. The default, 0, means the number that the namespace
	// has, or 64 for a new namespace.
	Partitions int
	// EventPartitions is the number of tables into which Postgres divides each of events, snapshots
	// and receipts, by hash of the partition. The default, 0, means the number that the namespace
	// has, or one undivided table of each for a new namespace.
	EventPartitions int
	// Name is the name that Postgres shows for the connections, as maestro/<name>, unless the pool
	// sets application_name.
	Name string
	// Logger gets everything that an operator must know. The default is slog.Default().
	Logger *slog.Logger

	steps steps // for tests: migrations to use in place of the program's own
}

const defaultPartitions = 64

func (o Options) withDefaults() Options {
	if o.Namespace == "" {
		o.Namespace = wire.DefaultNamespace
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o
}

func (o Options) check() error {
	const most = 1<<15 - 1
	if o.Partitions < 0 || o.Partitions > most {
		return fmt.Errorf("%d partitions: expected 1 to %d, or 0 for the default", o.Partitions, most)
	}
	if o.EventPartitions < 0 || o.EventPartitions > most {
		return fmt.Errorf("%d event partitions: expected 1 to %d, or 0 for the default", o.EventPartitions, most)
	}
	return nil
}

// schema returns the migrations that the program knows.
func (o Options) schema() steps {
	if o.steps != nil {
		return o.steps
	}
	return migrations
}

// divided returns how a new namespace is divided.
func (o Options) divided() settings {
	return settings{partitions: cmp.Or(o.Partitions, defaultPartitions), eventPartitions: o.EventPartitions}
}

// Postgres is the event log in a schema of a Postgres database of version 14 or later.
type Postgres struct {
	pools *pools
	// pool is for commits and reads, control for ownership.
	pool, control *pgxpool.Pool

	namespace  string
	partitions int
	sql        statements
	groups     groups
	// inTurn groups the commits with contended read models.
	inTurn     groups
	contention *contention
	paths      sync.Map // by *ReadModel: its search path
	apart      sync.Map // by partition: until when its commits with statements are made apart
	manners    manners  // of queued statements
	// startup has the parameters that a session begins with.
	startup      startup
	afterConnect func(context.Context, *pgx.Conn) error
	// prepares says that the pool's connections keep prepared statements, which is the default of a
	// pool.
	prepares bool
}

var _ Store = (*Postgres)(nil)

// Open returns the store of a namespace. If needed, it first creates the namespace or brings it up
// to date; see [Migrate].
//
// If the namespace has another number of partitions, the error is a [*PartitionsError]. While
// [Repartition] or [Republish] is not finished, the error wraps [ErrMaintenance]. A newer schema
// is no error unless this program cannot work with it: then the error is a [*SchemaError].
//
// The store makes connections of its own from a copy of the pool's configuration: as many as the
// pool may have, and three more. [Postgres.Close] ends them. The pool remains the caller's.
func Open(ctx context.Context, pool *pgxpool.Pool, o Options) (*Postgres, error) {
	o = o.withDefaults()
	p, err := openPools(pool, o)
	if err != nil {
		return nil, err
	}
	found, err := prepare(ctx, p.control, o)
	if err == nil {
		err = p.learn(ctx)
	}
	if err == nil {
		err = found.usable(o)
	}
	if err != nil {
		p.close()
		return nil, err
	}
	return newPostgres(p, o, found.partitions), nil
}

func newPostgres(p *pools, o Options, partitions int) *Postgres {
	config := p.work.Config()
	s := &Postgres{pools: p, pool: p.work, control: p.control, namespace: o.Namespace, partitions: partitions, sql: newStatements(o.Namespace),
		contention: newContention(o.Namespace, o.Logger),
		startup:    startupOf(config.ConnConfig.RuntimeParams), afterConnect: config.AfterConnect,
		prepares: config.ConnConfig.DefaultQueryExecMode == pgx.QueryExecModeCacheStatement}
	s.groups.limit, s.groups.patience, s.groups.commit = max(1, int(config.MaxConns)/4), defaultPatience, s.commitTogether
	s.inTurn.limit, s.inTurn.patience, s.inTurn.commit = 1, groupTimeout, s.commitInTurn
	return s
}

// path returns a read model's search path.
func (s *Postgres) path(m *ReadModel) string {
	if path, known := s.paths.Load(m); known {
		return path.(string)
	}
	path := m.path(s.namespace)
	s.paths.Store(m, path)
	return path
}

// Close ends the store's connections. Work that is under way has five seconds to finish. The store
// cannot be used afterwards.
func (s *Postgres) Close() { s.pools.close() }

// Namespace returns the schema that holds the tables.
func (s *Postgres) Namespace() string { return s.namespace }

// Partitions returns the number of partitions.
func (s *Postgres) Partitions() int { return s.partitions }

// Partition returns the current row of the partition. It returns an error if the server takes no
// writes, because another server may have a newer row.
func (s *Postgres) Partition(ctx context.Context, partition int) (Partition, error) {
	if err := checkPartition(partition, s.partitions); err != nil {
		return Partition{}, err
	}
	p, err := scanPartition(s.control.QueryRow(ctx, s.sql.partition, partition, s.partitions))
	if err != nil {
		return Partition{}, fmt.Errorf("read partition %d: %w", partition, s.whyNoRow(ctx, err))
	}
	return p, nil
}

// Rows returns the rows of all partitions, in the order of their numbers.
func (s *Postgres) Rows(ctx context.Context) ([]Partition, error) {
	rows, _ := s.control.Query(ctx, s.sql.rows, s.partitions) // its error is that of the rows
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Partition, error) { return scanPartition(row) })
	if err == nil && len(all) == 0 {
		err = pgx.ErrNoRows
	}
	if err != nil {
		return nil, fmt.Errorf("read the partitions: %w", s.whyNoRow(ctx, err))
	}
	return all, nil
}

// Acquire makes owner the partition's owner. It waits for a commit that is under way. If the
// commit holds it up for a second, Acquire ends the session of that commit. A frozen process in
// the middle of its projections is such a case.
func (s *Postgres) Acquire(ctx context.Context, partition int, owner string) (Partition, error) {
	if err := checkPartition(partition, s.partitions); err != nil {
		return Partition{}, err
	}
	p, err := s.acquire(ctx, partition, owner)
	if isLocked(err) {
		if _, err := s.control.Exec(ctx, s.sql.evict, partition); err != nil {
			return Partition{}, fmt.Errorf("end the session that holds partition %d: %w", partition, own(err))
		}
		p, err = s.acquire(ctx, partition, owner)
	}
	if err != nil {
		return Partition{}, fmt.Errorf("acquire partition %d: %w", partition, s.whyNoRow(ctx, err))
	}
	return p, nil
}

// whyNoRow explains why a partition has no row. Either the server takes no writes, so that its
// data may be out of date, or the namespace's number of partitions has changed since it was
// opened.
func (s *Postgres) whyNoRow(ctx context.Context, err error) error {
	if !errors.Is(err, pgx.ErrNoRows) {
		return own(err)
	}
	if readOnly := ""; s.control.QueryRow(ctx, readOnlySetting).Scan(&readOnly) == nil && readOnly == "on" {
		return own(errReadOnly)
	}
	found, err := readSettings(ctx, s.control, s.namespace)
	if err != nil {
		return own(err)
	}
	if err := found.usable(Options{Namespace: s.namespace, Partitions: s.partitions}); err != nil {
		return err // it does not pass by itself
	}
	return own(pgx.ErrNoRows)
}

func (s *Postgres) acquire(ctx context.Context, partition int, owner string) (p Partition, err error) {
	var batch pgx.Batch
	batch.Queue(lockTimeout)
	batch.Queue(s.sql.acquire, partition, owner, s.partitions).QueryRow(func(row pgx.Row) (err error) {
		p, err = scanPartition(row)
		return err
	})
	return p, s.control.SendBatch(ctx, &batch).Close()
}

func checkPartition(partition, partitions int) error {
	if partition < 0 || partition >= partitions {
		return fmt.Errorf("partition %d: the namespace has partitions 0 to %d", partition, partitions-1)
	}
	return nil
}
