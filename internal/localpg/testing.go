package localpg

import (
	"context"
	"fmt"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// TB is the part of testing.TB that the helpers for tests need. It keeps package testing out of the
// worker.
type TB interface {
	Helper()
	Cleanup(f func())
	Errorf(format string, args ...any)
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// shared needs nobody to stop it, because it ends with the test binary.
var shared = sync.OnceValues(func() (*Server, error) {
	return Start(context.Background(), Options{Unsafe: true})
})

// Shared returns the URL of a cluster that all tests of a binary share. The first call starts the
// cluster, without fsync.
func Shared(t TB) string {
	t.Helper()
	s, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	return s.URL()
}

var databases atomic.Int64

// Database returns the URL of a new database in the shared cluster. The database is dropped after
// the test.
func Database(t TB) string {
	t.Helper()
	server := Shared(t)
	name := fmt.Sprintf("test_%d", databases.Add(1))
	execute(t, server, "create database "+name)
	t.Cleanup(func() { execute(t, server, "drop database "+name+" with (force)") })
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + name
	return u.String()
}

// closeTimeout is how long the connections of a test may stay in use after the test.
const closeTimeout = 10 * time.Second

// Pool returns connections to a database, which are closed after the test. If a failed test has
// left a transaction open, Pool reports that instead of waiting for the connection for ever.
func Pool(t TB, url string, change ...func(*pgxpool.Config)) *pgxpool.Pool {
	t.Helper()
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	for _, change := range change {
		change(config)
	}
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		closed := make(chan struct{})
		go func() { pool.Close(); close(closed) }()
		select {
		case <-closed:
		case <-time.After(closeTimeout):
			t.Errorf("%d connections to Postgres are still in use: a transaction was left open", pool.Stat().AcquiredConns())
		}
	})
	return pool
}

func execute(t TB, server, sql string) {
	t.Helper()
	ctx := context.Background() // a test's own context has ended by the time of its cleanup
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}
