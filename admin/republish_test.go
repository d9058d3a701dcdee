package admin_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro"
	"github.com/maestro-es/maestro/admin"
	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/consumer"
	"github.com/maestro-es/maestro/eventstream"
	"github.com/maestro-es/maestro/examples/counter"
	"github.com/maestro-es/maestro/internal/localnats"
	"github.com/maestro-es/maestro/internal/localpg"
	"github.com/maestro-es/maestro/internal/wire"
	"github.com/maestro-es/maestro/repository"
	"github.com/maestro-es/maestro/store"
)

// An operator who rebuilds a stream need not know its configuration, because settings that are not
// given stay as they are.
func TestWhoMendsAStreamKeepsItsLimits(t *testing.T) {
	t.Parallel()
	for name, mend := range map[string]func(admin.Config) (int64, error){
		"republish":   func(c admin.Config) (int64, error) { return admin.Republish(t.Context(), c) },
		"repartition": func(c admin.Config) (int64, error) { return admin.Repartition(t.Context(), c, 3) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const many, commandBytes, eventBytes = 5, 2 << 20, 4 << 20
			ns := wire.Namespace(wire.DefaultNamespace)
			nc := localnats.ForTest(t).Connect(t)
			js, err := jetstream.New(nc)
			require.NoError(t, err)
			require.NoError(t, consumer.EnsureStream(t.Context(), js, ns, 2, consumer.StreamConfig{MaxBytes: commandBytes}))
			_, err = eventstream.Ensure(t.Context(), js, ns, eventstream.StreamConfig{MaxBytes: eventBytes, MaxAge: time.Hour})
			require.NoError(t, err)
			pool := localpg.Pool(t, localpg.Database(t))
			log, err := store.Open(t.Context(), pool, store.Options{Partitions: 2})
			require.NoError(t, err)
			t.Cleanup(log.Close)
			for i := range many {
				_, err := counters(t, log).Evaluate(t.Context(), fmt.Sprint(i), increment(1), repository.Evaluation{})
				require.NoError(t, err)
			}

			config := admin.Config{NATS: nc, Database: pool, Logger: slog.New(slog.DiscardHandler)}
			config.Events.MaxAge = 2 * time.Hour // a given setting is applied
			published, err := mend(config)
			require.NoError(t, err)
			require.EqualValues(t, many, published)
			events, err := js.Stream(t.Context(), ns.EventStream())
			require.NoError(t, err)
			require.Equal(t, 2*time.Hour, events.CachedInfo().Config.MaxAge)
			require.EqualValues(t, eventBytes, events.CachedInfo().Config.MaxBytes)
			commands, err := js.Stream(t.Context(), ns.CommandStream())
			require.NoError(t, err)
			require.EqualValues(t, commandBytes, commands.CachedInfo().Config.MaxBytes)
		})
	}
}

// A worker that starts while the stream is rebuilt waits, and the stream has every event
// afterwards.
func TestRepublishKeepsWorkersOut(t *testing.T) {
	t.Parallel()
	const many = 20
	pool, nc := localpg.Pool(t, localpg.Database(t)), localnats.ForTest(t).Connect(t)
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	logger := slog.New(slog.DiscardHandler)
	config := admin.Config{NATS: nc, Database: pool, Partitions: 2, Logger: logger}
	worker := maestro.Config{NATS: nc, Database: pool, Partitions: 2, Aggregates: []aggregate.Type{counter.Definition}, Logger: logger}
	early, err := maestro.New(t.Context(), worker)
	require.NoError(t, err)
	log, err := store.Open(t.Context(), pool, store.Options{})
	require.NoError(t, err)
	t.Cleanup(log.Close)
	deposit := func(id string) {
		_, err := counters(t, log).Evaluate(t.Context(), id, increment(1), repository.Evaluation{})
		require.NoError(t, err)
	}
	for i := range many {
		deposit(fmt.Sprint(i))
	}
	_, err = admin.Republish(t.Context(), config)
	require.NoError(t, err)

	republished := make(chan error, 1)
	go func() { // it waits until the server has forgotten what was published
		_, err := admin.Republish(t.Context(), config)
		republished <- err
	}()
	require.Eventually(t, func() bool {
		var w *maestro.Worker
		if w, err = maestro.New(t.Context(), worker); err == nil {
			w.Close()
		}
		return err != nil
	}, 20*time.Second, time.Millisecond)
	require.ErrorIs(t, err, store.ErrMaintenance)
	require.ErrorContains(t, err, "finish with `worker republish`")
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- early.Run(ctx) }()
	deposit("more")
	require.NoError(t, <-republished)

	require.Eventually(t, func() bool { // each event has its own aggregate, and so its own subject
		stream, err := js.Stream(t.Context(), "MAESTRO_EVENTS")
		require.NoError(t, err)
		info, err := stream.Info(t.Context(), jetstream.WithSubjectFilter("maestro.evt.>"))
		require.NoError(t, err)
		return len(info.State.Subjects) == many+1
	}, 20*time.Second, 10*time.Millisecond)
	stop()
	require.NoError(t, <-ended)
	rows, err := log.Rows(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, many+1, rows[0].Position+rows[1].Position)
}

// An interrupted Republish keeps workers out until it is called again.
func TestAnInterruptedRepublishIsFinished(t *testing.T) {
	t.Parallel()
	pool, server := localpg.Pool(t, localpg.Database(t)), localnats.ForTest(t)
	nc := server.Connect(t)
	config := admin.Config{NATS: nc, Database: pool, Logger: slog.New(slog.DiscardHandler)}
	log, err := store.Open(t.Context(), pool, store.Options{Partitions: 2})
	require.NoError(t, err)
	t.Cleanup(log.Close)
	ctx, interrupt := context.WithCancel(t.Context())
	nobody := func(context.Context) error { return nil }
	err = store.Republish(ctx, pool, store.Options{}, "operator", nobody, func(context.Context, *store.Postgres, []store.Partition) error {
		interrupt()
		return ctx.Err()
	})
	require.ErrorIs(t, err, context.Canceled)
	_, err = log.Acquire(t.Context(), 0, "worker")
	require.ErrorIs(t, err, store.ErrMaintenance)
	_, err = admin.Repartition(t.Context(), config, 3)
	require.ErrorIs(t, err, store.ErrMaintenance)
	_, err = admin.Republish(t.Context(), config)
	require.NoError(t, err)
	_, err = log.Acquire(t.Context(), 0, "worker")
	require.NoError(t, err)
}
