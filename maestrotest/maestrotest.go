// Package maestrotest tests what you built on Maestro against real servers, in the process of the
// test: a Postgres database, a nats-server with JetStream, and a worker.
//
//   - [Run] starts a worker and returns when it takes commands.
//   - [On] tells a history of one aggregate through the whole path: from a command on NATS to its
//     events in Postgres.
//   - [Worker.Settle] waits until everything that was sent is handled, without sleeping. Read models
//     are then queried with plain SQL on [Worker.Database].
//   - [Postgres] and [NATS] give a test the servers alone.
//
// A test needs no running server. The programs of PostgreSQL 14 or later must be installed. All
// tests of a test binary share one cluster, and each test has its own database. Package
// aggregatetest tests aggregates without any server.
package maestrotest

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"

	"github.com/maestro-es/maestro"
	"github.com/maestro-es/maestro/client"
	"github.com/maestro-es/maestro/internal/localnats"
	"github.com/maestro-es/maestro/internal/localpg"
)

// Postgres returns connections to an empty database, which is dropped after the test.
func Postgres(t testing.TB) *pgxpool.Pool {
	t.Helper()
	return localpg.Pool(t, localpg.Database(t))
}

// NATS returns a connection to a nats-server with JetStream, which ends after the test.
func NATS(t testing.TB) *nats.Conn {
	t.Helper()
	return localnats.ForTest(t).Connect(t)
}

// Worker is a worker in the process of a test.
type Worker struct {
	// Database is the worker's Postgres, NATS the connection that the worker uses.
	Database *pgxpool.Pool
	NATS     *nats.Conn
	// Client sends commands to the worker.
	Client *client.Client

	t         testing.TB
	namespace string
}

// patience bounds each wait of a test, so that a test that cannot succeed fails and says why.
const patience = 30 * time.Second

// partitions is the number of partitions if the test's configuration gives none.
const partitions = 4

// Run starts a worker and returns when it takes commands. After the test the worker stops in order;
// if it returns an error, the test fails. Config.Aggregates is required. If Config.Database or
// Config.NATS is nil, the worker gets its own servers. The worker's log is shown with the test.
func Run(t testing.TB, c maestro.Config) *Worker {
	t.Helper()
	if c.Database == nil {
		c.Database = Postgres(t)
	}
	if c.NATS == nil {
		c.NATS = NATS(t)
	}
	if c.Partitions == 0 {
		c.Partitions = partitions
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	ctx, stop := context.WithCancel(context.Background())
	worker, err := maestro.New(ctx, c)
	if err != nil {
		stop()
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- worker.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the worker ended with an error: %v", err)
		}
	})
	w := &Worker{Database: c.Database, NATS: c.NATS, t: t, namespace: worker.Namespace()}
	if w.Client, err = client.New(c.NATS, client.Options{Namespace: w.namespace}); err != nil {
		t.Fatal(err)
	}
	w.wait("the worker to be ready", worker.Ready)
	return w
}

// wait calls ask until it returns no error. When patience ends, it fails the test with the last
// error.
func (w *Worker) wait(what string, ask func(context.Context) error) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ask(ctx)
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			w.t.Fatalf("waited %s for %s: %v", patience, what, err)
		case <-tick.C:
		}
	}
}
