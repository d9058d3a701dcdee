package hostile_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro"
	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/client"
	"github.com/maestro-es/maestro/internal/localnats"
	"github.com/maestro-es/maestro/internal/localpg"
	"github.com/maestro-es/maestro/internal/wire"
	"github.com/maestro-es/maestro/store"
	"github.com/maestro-es/maestro/tests/hostile"
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "maestro-hostile-")
	if err != nil {
		panic(err)
	}
	scratch = dir
	defer func() { _ = os.RemoveAll(dir) }()
	return m.Run()
}

var scratch string

// patience bounds the time of anything that must happen.
const patience = 30 * time.Second

// database is a Postgres for all tests. It has the settings of a server in production, apart from
// fsync, and allows everything that user code may do.
var database = sync.OnceValues(func() (*localpg.Server, error) {
	ctx := context.Background()
	s, err := localpg.Start(ctx, localpg.Options{Settings: []string{"fsync=off", "full_page_writes=off", "max_prepared_transactions=20"}})
	if err != nil {
		return nil, err
	}
	conn, err := pgx.Connect(ctx, s.URL())
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(ctx) }()
	_, err = conn.Exec(ctx, "create role hostile_nobody")
	return s, err
})

var broker = sync.OnceValues(func() (*localnats.Server, error) { return localnats.Start(localnats.Options{Dir: scratch}) })

// system is a namespace with a worker inside the test.
type system struct {
	*testing.T
	namespace  wire.Namespace
	partitions int
	pool       *pgxpool.Pool
	nats       *nats.Conn
	js         jetstream.JetStream
	*client.Client
	looks string // what a fresh session looks like
}

var namespaces atomic.Int64

// newSystem starts a worker with the hostile aggregate and read models in a namespace of its own.
func newSystem(t *testing.T, change ...func(*maestro.Config)) *system {
	t.Helper()
	postgres, err := database()
	require.NoError(t, err)
	url := postgres.URL()
	server, err := broker()
	require.NoError(t, err)
	s := &system{T: t, namespace: wire.Namespace(fmt.Sprintf("hostile_%d", namespaces.Add(1))), partitions: 4}
	s.nats = server.Connect(t)
	s.js, err = jetstream.New(s.nats)
	require.NoError(t, err)
	s.Client, err = client.New(s.nats, client.Options{Namespace: string(s.namespace), Resend: time.Second})
	require.NoError(t, err)
	s.pool = localpg.Pool(t, url, func(c *pgxpool.Config) { c.MaxConns = 2 })
	require.NoError(t, s.pool.QueryRow(t.Context(), hostile.Looks).Scan(&s.looks))
	config := maestro.Config{NATS: server.Connect(t), Namespace: string(s.namespace), Partitions: s.partitions,
		Database:   localpg.Pool(t, url, func(c *pgxpool.Config) { c.MaxConns = 4 }),
		Aggregates: []aggregate.Type{hostile.Definition}, Projections: hostile.Projections(), Logger: slog.New(slog.DiscardHandler)}
	for _, c := range change {
		c(&config)
	}
	s.run(config)
	return s
}

// with returns the system for a part of the test.
func (s *system) with(t *testing.T) *system {
	part := *s
	part.T = t
	return &part
}

// run runs a worker until the test ends.
func (s *system) run(c maestro.Config) {
	s.Helper()
	ctx, stop := context.WithCancel(context.Background())
	worker, err := maestro.New(ctx, c)
	require.NoError(s, err)
	ended := make(chan error, 1)
	go func() { ended <- worker.Run(ctx) }()
	s.Cleanup(func() {
		stop()
		select {
		case err := <-ended:
			require.NoError(s, err)
		case <-time.After(patience):
			s.Error("the worker does not end")
		}
	})
	require.Eventually(s, func() bool { return worker.Ready(ctx) == nil }, patience, 10*time.Millisecond, "the worker")
}

// table is a table's qualified name, wherever the namespace keeps it.
func (s *system) table(name string) string {
	s.Helper()
	var schema string
	require.NoError(s, s.pool.QueryRow(s.Context(), `select schemaname from pg_tables where tablename = $1
		and (schemaname = $2 or schemaname like $2 || '\_%' and schemaname !~ '[0-9]_[a-z]+_[0-9]+_[0-9]+$') order by 1 limit 1`, name, s.namespace).Scan(&schema), name)
	return pgx.Identifier{schema, name}.Sanitize()
}

func query[T any](s *system, sql string, args ...any) (value T) {
	s.Helper()
	require.NoError(s, s.pool.QueryRow(s.Context(), sql, args...).Scan(&value), sql)
	return value
}

// inPartition returns the id of a ledger in a partition.
func (s *system) inPartition(p int, name string) string {
	for n := 0; ; n++ {
		if id := fmt.Sprintf("%s-%d", name, n); wire.Partition(hostile.Definition.Name(), id, s.partitions) == p {
			return id
		}
	}
}

// command returns a command for a ledger.
func command(id, name string, data any) client.Command {
	return client.Command{Aggregate: hostile.Definition.Name(), AggregateID: id, Name: name, Data: data}
}

// send is a way in which a command goes.
type send func(context.Context, client.Command) (store.Outcome, error)

// ask sends a command until it is answered.
func (s *system) ask(way send, c client.Command) (store.Outcome, error) {
	ctx, cancel := context.WithTimeout(s.Context(), patience)
	defer cancel()
	o, err := way(ctx, c)
	if err != nil {
		return o, fmt.Errorf("%s of %s is not answered: %w", c.Name, c.AggregateID, err)
	}
	return o, nil
}

// good sends a command that must be committed.
func (s *system) good(way send, c client.Command) store.Outcome {
	o, err := s.ask(way, c)
	if err != nil {
		s.Error(err)
	} else if o.Status != store.Committed {
		s.Errorf("a good command on %s is %s: %v", c.AggregateID, o.Status, o.Error)
	}
	return o
}
