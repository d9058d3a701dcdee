package maestro_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro"
	"github.com/maestro-es/maestro/admin"
	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/client"
	"github.com/maestro-es/maestro/internal/localnats"
	"github.com/maestro-es/maestro/internal/localpg"
	"github.com/maestro-es/maestro/store"
)

// running is a namespace of one partition with a worker.
type running struct {
	*testing.T
	pool   *pgxpool.Pool
	js     jetstream.JetStream
	client *client.Client
	config maestro.Config
	log    *output
	worker *maestro.Worker
	stop   func()
}

// output is a log that may be read while it is written.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) has(text string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.Contains(o.text.String(), text)
}

func newRunning(t *testing.T) *running {
	t.Helper()
	return runningOn(t, localpg.Database(t))
}

// runningOn returns a namespace on a database. The options are for the worker's connection to NATS.
func runningOn(t *testing.T, url string, options ...nats.Option) *running {
	t.Helper()
	return runningWith(t, url, 1, options...)
}

func runningWith(t *testing.T, url string, partitions int, options ...nats.Option) *running {
	t.Helper()
	broker := localnats.ForTest(t)
	r := &running{T: t, pool: localpg.Pool(t, url), log: &output{}}
	nc := broker.Connect(t)
	var err error
	r.js, err = jetstream.New(nc)
	require.NoError(t, err)
	r.client, err = client.New(nc, client.Options{})
	require.NoError(t, err)
	r.config = maestro.Config{NATS: broker.Connect(t, options...), Database: r.pool, Partitions: partitions, Aggregates: []aggregate.Type{account},
		Logger: slog.New(slog.NewTextHandler(r.log, nil))}
	r.start()
	return r
}

// start runs a worker until stop is called or the test ends.
func (r *running) start() {
	r.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	worker, err := maestro.New(ctx, r.config)
	require.NoError(r, err)
	ended := make(chan error, 1)
	go func() { ended <- worker.Run(ctx) }()
	r.worker, r.stop = worker, sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			r.Errorf("the worker ended with %v", err)
		}
	})
	r.Cleanup(r.stop)
	r.until(func() bool { return worker.Ready(ctx) == nil })
}

func (r *running) until(done func() bool) {
	r.Helper()
	require.Eventually(r, done, 30*time.Second, 10*time.Millisecond)
}

// deposit makes events of an account, and returns the last outcome.
func (r *running) deposit(id string, times int) (o store.Outcome) {
	r.Helper()
	for range times {
		ctx, cancel := context.WithTimeout(r.Context(), 30*time.Second)
		var err error
		o, err = r.client.Request(ctx, client.Command{Aggregate: "account", AggregateID: id, Name: "deposit", Data: Deposit{Amount: 1}})
		cancel()
		require.NoError(r, err)
		require.Equal(r, store.Committed, o.Status, "%+v", o.Error)
	}
	return o
}

// published waits until the event stream has the given number of events.
func (r *running) published(many uint64) {
	r.Helper()
	r.until(func() bool { return positions(r.T, r.js) == many })
}

// backUp saves the database, and returns a function that restores it while others use it.
func (r *running) backUp() (restore func()) {
	r.Helper()
	tables := []string{"partitions", "log", "receipts", "snapshots", "dead_letters"}
	for _, table := range tables {
		_, err := r.pool.Exec(r.Context(), fmt.Sprintf("create table kept_%[1]s as table maestro.%[1]s", table))
		require.NoError(r, err)
	}
	return func() {
		require.NoError(r, pgx.BeginFunc(r.Context(), r.pool, func(tx pgx.Tx) error {
			for _, table := range tables {
				if _, err := tx.Exec(r.Context(), fmt.Sprintf("truncate maestro.%[1]s", table)); err != nil {
					return err
				}
				if _, err := tx.Exec(r.Context(), fmt.Sprintf("insert into maestro.%[1]s table kept_%[1]s", table)); err != nil {
					return err
				}
			}
			return nil
		}))
	}
}

// The database comes back without its last commits while a worker runs, as after a failover to a
// server that lacked them, or from an older backup. The worker notices and logs this, and goes on
// with commands. The event stream holds lost events at the positions of new ones. The worker never
// takes the new events for published, even when the log becomes longer than the stream.
func TestALogThatHasGoneBackIsNoticed(t *testing.T) {
	t.Parallel()
	const kept, lost = 5, 4
	for name, more := range map[string]int{"nothing happens": 0, "a command comes at once": 1, "the log outgrows the stream": lost + 3} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRunning(t)
			r.deposit("a", kept)
			r.published(kept)
			restore := r.backUp()
			r.deposit("a", lost)
			r.published(kept + lost)
			restore()
			if more > 0 {
				require.EqualValues(t, kept+more, r.deposit("a", more).Sequence)
			}
			r.until(func() bool { return r.log.has("the log has gone back: commits that were answered are gone") })
			r.until(func() bool {
				err := r.worker.Ready(t.Context())
				return err != nil && strings.Contains(err.Error(), "worker republish")
			})
			require.True(t, r.log.has("level=ERROR msg=\"events wait: publishing failed and is tried again\" partition=0 error=\"the event stream is not the log's"))
			require.EqualValues(t, kept+more+2, r.deposit("a", 2).Sequence, "commands go on")
			require.EqualValues(t, kept+lost, positions(t, r.js), "nothing is published")

			r.stop()
			events, err := admin.Republish(t.Context(), admin.Config{NATS: r.config.NATS, Database: r.pool, Logger: r.config.Logger})
			require.NoError(t, err)
			require.EqualValues(t, kept+more+2, events)
			r.start()
			r.deposit("a", 1)
			r.published(uint64(kept + more + 3))
		})
	}
}

// The log has lost commits, and other commits have reached the same position since. Only the time
// of the last event shows this. No command is decided on lost events.
func TestAnotherHistoryOfTheSameLengthIsNoticed(t *testing.T) {
	t.Parallel()
	r := newRunning(t)
	r.deposit("a", 3)
	r.published(3)
	restore := r.backUp()
	_, err := r.pool.Exec(t.Context(), `update kept_partitions set recorded_at = recorded_at + interval '1 millisecond';
		update kept_log set recorded_at = recorded_at + interval '1 millisecond', aggregate_id = 'b', sequence = 1 where position = 3`)
	require.NoError(t, err)
	restore()
	require.EqualValues(t, 3, r.deposit("a", 1).Sequence, "it has two events in the log")
	require.EqualValues(t, 2, r.deposit("b", 1).Sequence)
	require.True(t, r.log.has("the log has gone back: commits that were answered are gone"))
	r.until(func() bool {
		err := r.worker.Ready(t.Context())
		return err != nil && strings.Contains(err.Error(), "worker republish")
	})
}

// After a loss of answered commits, durable commands that are still in the stream are handled
// again.
func TestDurableCommandsThatTheLogHasLostAreHandledAgain(t *testing.T) {
	t.Parallel()
	r := newRunning(t)
	r.deposit("a", 1)
	restore := r.backUp()
	_, err := r.client.Send(t.Context(), client.Command{ID: "durable", Aggregate: "account", AggregateID: "a", Name: "deposit", Data: Deposit{Amount: 1}})
	require.NoError(t, err)
	r.published(2)
	restore()
	r.until(func() bool {
		var position int64
		err := r.pool.QueryRow(t.Context(), "select position from maestro.partitions").Scan(&position)
		return err == nil && position == 2
	})
	require.EqualValues(t, 3, r.deposit("a", 1).Sequence)
}

// positions returns the number of events in the event stream.
func positions(t *testing.T, js jetstream.JetStream) (events uint64) {
	t.Helper()
	stream, err := js.Stream(t.Context(), "MAESTRO_EVENTS")
	require.NoError(t, err)
	info, err := stream.Info(t.Context(), jetstream.WithSubjectFilter("maestro.evt.>"))
	require.NoError(t, err)
	for _, n := range info.State.Subjects {
		events += n
	}
	return events
}
