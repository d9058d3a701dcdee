package consumer

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/internal/wire"
	"github.com/maestro-es/maestro/store"
)

// A library commits to partitions that a worker owns. The worker has no commands there, but
// publishes the events.
func TestWhatOthersCommitIsPublished(t *testing.T) {
	b := newBroker(t)
	log := store.NewMemory(4)
	stop := b.start(b.newConsumer(log, log))
	defer stop()
	key := store.Key{Type: "box", ID: "1"}
	partition := wire.Partition(key.Type, key.ID, 4)
	row, err := log.Partition(t.Context(), partition)
	require.NoError(t, err)
	require.NoError(t, log.Commit(t.Context(), &store.Commit{Partition: partition, Epoch: row.Epoch, Events: []store.Event{{
		Partition: partition, Position: 1, Aggregate: key, RecordedAt: time.Now(),
		Recorded: aggregate.Recorded{Sequence: 1, Type: "was_put", Version: 1, Body: []byte(`{"Thing":"x"}`)}}}}))

	stream, err := b.js.Stream(t.Context(), ns.EventStream())
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		_, err := stream.GetLastMsgForSubject(context.Background(), ns.EventsOf(partition))
		return err == nil
	}, 20*time.Second, 10*time.Millisecond, "the event is not in the stream")
	_, err = stream.GetLastMsgForSubject(t.Context(), ns.Event(partition, "box", "1", "was_put"))
	require.NoError(t, err)
}
