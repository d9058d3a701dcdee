package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/maestro-es/maestro/internal/localpg"
	"github.com/maestro-es/maestro/internal/wire"
)

// lab is the equipment of an experiment: servers of its own, and connections to them.
type lab struct {
	options
	dir        string
	nats       *natsServer
	postgres   *localpg.Server
	conn       *nats.Conn
	js         jetstream.JetStream
	pool       *pgxpool.Pool
	collector  *httptest.Server // takes spans and throws them away
	namespaces int
}

func newLab(ctx context.Context, o options) (l *lab, err error) {
	l = &lab{options: o}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.close())
		}
	}()
	if l.dir, err = os.MkdirTemp("", "maestro-bench-*"); err != nil {
		return l, err
	}
	if err := l.startBroker(ctx); err != nil {
		return l, err
	}
	if l.postgres, err = localpg.Start(ctx, localpg.Options{Settings: settings}); err != nil {
		return l, err
	}
	if l.pool, err = pgxpool.New(ctx, l.postgres.URL()); err != nil {
		return l, err
	}
	if err := l.age(ctx); err != nil {
		return l, err
	}
	l.collector = newCollector()
	return l, nil
}

func newCollector() *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
	}))
}

// settings are those that docs/operations.md recommends for a Postgres that is to be quick.
var settings = []string{"shared_buffers=6GB", "min_wal_size=7GB", "max_wal_size=8GB", "checkpoint_timeout=30min"}

// age makes a new cluster like one that has worked for a while. An old cluster reuses files of its
// write-ahead log instead of making new ones. A new cluster would first fill each file with zeros,
// and all commits wait for that. age makes enough files for five minutes of work.
func (l *lab) age(ctx context.Context) error {
	const files = 400 // of 16 MiB
	if _, err := l.pool.Exec(ctx, `create table pad (n int)`); err != nil {
		return err
	}
	for range files {
		if _, err := l.pool.Exec(ctx, `insert into pad values (0)`); err != nil {
			return err
		}
		if _, err := l.pool.Exec(ctx, `select pg_switch_wal()`); err != nil {
			return err
		}
	}
	if _, err := l.pool.Exec(ctx, `drop table pad`); err != nil {
		return err
	}
	_, err := l.pool.Exec(ctx, `checkpoint`)
	return err
}

// startBroker starts a nats-server and connects to it. After an error, leave stops everything that
// has been started.
func (l *lab) startBroker(ctx context.Context) error {
	dir, err := os.MkdirTemp(l.dir, "jetstream-*")
	if err != nil {
		return err
	}
	if l.nats, err = startNATS(ctx, dir); err != nil {
		return err
	}
	if l.conn, err = nats.Connect(l.nats.url); err != nil {
		return err
	}
	l.js, err = jetstream.New(l.conn)
	return err
}

// beside returns the same lab with another nats-server, until leave is called. With separate
// servers, the data that a server keeps for one side are no burden to the other side.
func (l *lab) beside(ctx context.Context) (*lab, error) {
	other := *l
	other.nats, other.conn, other.js = nil, nil, nil
	if err := other.startBroker(ctx); err != nil {
		other.leave()
		return nil, err
	}
	return &other, nil
}

// leave closes the connection to the nats-server and stops it.
func (l *lab) leave() {
	if l.conn != nil {
		l.conn.Close()
	}
	if l.nats != nil {
		l.nats.stop()
	}
}

func (l *lab) close() (err error) {
	if l.collector != nil {
		l.collector.Close()
	}
	if l.pool != nil {
		l.pool.Close()
	}
	if l.postgres != nil {
		err = l.postgres.Stop()
	}
	l.leave()
	return errors.Join(err, os.RemoveAll(l.dir))
}

// scaled returns a number, such as one of commands, at the scale that was asked for.
func (l *lab) scaled(n int) int { return max(int(float64(n)*l.scale), 1000) }

// lasting returns a duration at the scale that was asked for.
func (l *lab) lasting(d time.Duration) time.Duration {
	return max(time.Duration(float64(d)*l.scale), time.Second)
}

// namespace returns a new namespace.
func (l *lab) namespace() wire.Namespace {
	l.namespaces++
	return wire.Namespace(fmt.Sprintf("bench%d", l.namespaces))
}

// drop removes everything that a namespace has left behind.
func (l *lab) drop(ctx context.Context, ns wire.Namespace) error {
	_ = l.js.DeleteStream(ctx, ns.CommandStream())
	_ = l.js.DeleteStream(ctx, ns.EventStream())
	rows, _ := l.pool.Query(ctx, `select nspname from pg_namespace where nspname = $1 or starts_with(nspname, $1 || '_')`, string(ns))
	schemas, err := pgx.CollectRows(rows, pgx.RowTo[string])
	for _, schema := range schemas {
		_, failed := l.pool.Exec(ctx, `drop schema if exists `+pgx.Identifier{schema}.Sanitize()+` cascade`)
		err = errors.Join(err, failed)
	}
	return err
}

// progressf tells people who wait how the experiment goes.
func (l *lab) progressf(format string, args ...any) { log.Printf("  "+format, args...) }

// machine describes the machine that a result comes from.
func (l *lab) machine(ctx context.Context) string {
	postgres := "Postgres"
	_ = l.pool.QueryRow(ctx, `select 'PostgreSQL ' || split_part(current_setting('server_version'), ' ', 1)`).Scan(&postgres)
	return fmt.Sprintf("%s: %d cores, %s, nats-server %s, %s", time.Now().Format(time.DateOnly), runtime.NumCPU(), postgres,
		l.conn.ConnectedServerVersion(), strings.Replace(runtime.Version(), "go", "Go ", 1))
}
