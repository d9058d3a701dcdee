package eventstream_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/eventstream"
	"github.com/maestro-es/maestro/internal/localnats"
	"github.com/maestro-es/maestro/store"
)

// The stream may store the last unit of a stopping owner without the owner hearing of it.
func TestDrainEndsWhenTheStreamHasEverything(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	js, err := jetstream.New(localnats.ForTest(t).Connect(t))
	require.NoError(t, err)
	stream, err := eventstream.Ensure(ctx, js, "maestro", eventstream.StreamConfig{})
	require.NoError(t, err)
	log := store.NewMemory(1)
	at, err := log.Acquire(ctx, 0, "owner")
	require.NoError(t, err)
	commit := &store.Commit{Epoch: at.Epoch}
	for n := range int64(3) {
		commit.Events = append(commit.Events, store.Event{Position: n + 1, Aggregate: store.Key{Type: "counter", ID: "1"},
			Recorded:   aggregate.Recorded{Sequence: n + 1, Type: "incremented", Version: 1, Body: []byte(`{}`)},
			RecordedAt: time.Now()})
	}
	require.NoError(t, log.Commit(ctx, commit))
	for range 2 { // the second does not know what the first has published
		at, err = log.Acquire(ctx, 0, "owner")
		require.NoError(t, err)
		require.NoError(t, eventstream.NewPublisher(js, "maestro", eventstream.StreamConfig{}, log, at, slog.Default()).Drain(ctx))
	}
	info, err := stream.Info(ctx)
	require.NoError(t, err)
	require.EqualValues(t, 3+1, info.State.Msgs, "the events and the fence")
}
