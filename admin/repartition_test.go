package admin_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro"
	"github.com/maestro-es/maestro/admin"
	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/examples/counter"
	"github.com/maestro-es/maestro/internal/localnats"
	"github.com/maestro-es/maestro/internal/localpg"
	"github.com/maestro-es/maestro/repository"
	"github.com/maestro-es/maestro/store"
)

func TestRepartitionSaysWhatItLacks(t *testing.T) {
	t.Parallel()
	_, err := admin.Repartition(t.Context(), admin.Config{Namespace: "No"}, 0)
	for _, lacking := range []string{`namespace "No"`, "Config.NATS is missing", "Config.Database is missing", "0 partitions: expected 1 to 1024"} {
		require.ErrorContains(t, err, lacking)
	}
}

// A library that is idle during the change does no harm when it goes on. The change cannot find it,
// because it has no NATS.
func TestRepartitionShutsOutWhoeverWasThereBefore(t *testing.T) {
	t.Parallel()
	nc := localnats.ForTest(t).Connect(t)
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	pool := localpg.Pool(t, localpg.Database(t))
	config := admin.Config{NATS: nc, Database: pool, Logger: slog.New(slog.DiscardHandler)}
	opened := func(partitions int) *store.Postgres {
		log, err := store.Open(t.Context(), pool, store.Options{Partitions: partitions})
		require.NoError(t, err)
		t.Cleanup(log.Close)
		return log
	}
	former := counters(t, opened(2))
	const many = 20
	for i := range many {
		_, err := former.Evaluate(t.Context(), fmt.Sprint(i), increment(i+1), repository.Evaluation{})
		require.NoError(t, err)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	_, err = admin.Repartition(ended, config, 3)
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, 2, opened(0).Partitions())

	events, err := admin.Repartition(t.Context(), config, 3)
	require.NoError(t, err)
	require.EqualValues(t, many, events)
	stream, err := js.Stream(t.Context(), "MAESTRO_EVENTS")
	require.NoError(t, err)
	require.EqualValues(t, many+3, stream.CachedInfo().State.Msgs, "the events and a fence for each partition")
	events, err = admin.Repartition(t.Context(), config, 3)
	require.NoError(t, err)
	require.Zero(t, events, "there is nothing to do")

	var mismatch *store.PartitionsError
	for i := range many {
		_, err := former.Evaluate(t.Context(), fmt.Sprint(i), increment(1), repository.Evaluation{})
		require.ErrorAs(t, err, &mismatch)
	}
	now := counters(t, opened(0))
	for i := range many {
		state, err := now.Fetch(t.Context(), fmt.Sprint(i))
		require.NoError(t, err)
		require.Equal(t, aggregate.Root[counter.Counter]{ID: fmt.Sprint(i), Sequence: 1, State: counter.Counter{Value: int64(i + 1)}}, state)
	}
	_, err = maestro.New(t.Context(), maestro.Config{NATS: nc, Database: pool, Partitions: 2,
		Aggregates: []aggregate.Type{counter.Definition}, Logger: config.Logger})
	require.ErrorAs(t, err, &mismatch)
}
