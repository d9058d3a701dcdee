package consumer

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/internal/wire"
	"github.com/maestro-es/maestro/store"
)

// trimming returns a command stream of ten commands, in turn for partitions 0 and 1 of four, and a
// consumer to trim it.
func trimming(t *testing.T) (*Consumer, *store.Memory, jetstream.Stream) {
	t.Helper()
	b := newBroker(t)
	log := store.NewMemory(4)
	c := b.newConsumer(log, log)
	require.NoError(t, EnsureStream(t.Context(), b.js, ns, 4, StreamConfig{}))
	for n := range 10 {
		_, err := b.js.Publish(t.Context(), ns.Send("box", inPartition(n%2), "put"), []byte(`{}`))
		require.NoError(t, err)
	}
	stream, err := b.js.Stream(t.Context(), ns.CommandStream())
	require.NoError(t, err)
	return c, log, stream
}

// inPartition returns the id of a box in one of four partitions.
func inPartition(p int) string {
	id := "a"
	for wire.Partition("box", id, 4) != p {
		id += "a"
	}
	return id
}

// handledUpTo commits a cursor of a partition, for this stream or another.
func handledUpTo(t *testing.T, log *store.Memory, stream jetstream.Stream, partition int, cursor store.Cursor) {
	t.Helper()
	at, err := log.Acquire(t.Context(), partition, "owner")
	require.NoError(t, err)
	if cursor.StreamCreated.IsZero() {
		cursor.StreamCreated = created(stream.CachedInfo())
	}
	if cursor.Time.IsZero() {
		msg, err := stream.GetMsg(t.Context(), cursor.Sequence)
		require.NoError(t, err)
		cursor.Time = msg.Time.UTC().Truncate(time.Microsecond)
	}
	require.NoError(t, log.Commit(t.Context(), &store.Commit{Partition: partition, Epoch: at.Epoch, Cursor: cursor}))
}

func firstOf(t *testing.T, c *Consumer, stream jetstream.Stream) uint64 {
	t.Helper()
	require.NoError(t, c.trimOnce(t.Context(), &survey{}))
	info, err := stream.Info(t.Context())
	require.NoError(t, err)
	return info.State.FirstSeq
}

// Partitions without commands in the stream do not block trimming, and the last handled message
// stays.
func TestTheStreamIsTrimmedToWhatAllHaveHandled(t *testing.T) {
	t.Parallel()
	c, log, stream := trimming(t)
	require.EqualValues(t, 1, firstOf(t, c, stream), "nobody has handled anything")
	handledUpTo(t, log, stream, 0, store.Cursor{Sequence: 5})
	handledUpTo(t, log, stream, 1, store.Cursor{Sequence: 4})
	require.EqualValues(t, 5, firstOf(t, c, stream), "message 5 is the mark")
	handledUpTo(t, log, stream, 0, store.Cursor{Sequence: 9})
	handledUpTo(t, log, stream, 1, store.Cursor{Sequence: 10})
	require.EqualValues(t, 10, firstOf(t, c, stream))
}

// After the stream was lost, partitions without new commands still have a cursor of the old stream.
func TestACursorOfAnotherStreamHoldsNothingUp(t *testing.T) {
	t.Parallel()
	c, log, stream := trimming(t)
	other := store.Cursor{StreamCreated: time.Unix(1, 0), Sequence: 77, Time: time.Unix(2, 0)}
	handledUpTo(t, log, stream, 2, other)
	handledUpTo(t, log, stream, 1, other)
	handledUpTo(t, log, stream, 0, store.Cursor{Sequence: 9})
	require.EqualValues(t, 2, firstOf(t, c, stream), "partition 1 has yet to handle message 2")
}

// A stream that has lost its end reuses sequences. The messages that have them now are not handled.
func TestACursorOfALostMessageTrimsNothing(t *testing.T) {
	t.Parallel()
	for name, lost := range map[string]store.Cursor{
		"beyond the end":       {Sequence: 99, Time: time.Unix(2, 0)},
		"its number is reused": {Sequence: 10, Time: time.Unix(2, 0)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, log, stream := trimming(t)
			handledUpTo(t, log, stream, 0, store.Cursor{Sequence: 9})
			handledUpTo(t, log, stream, 1, lost)
			require.EqualValues(t, 2, firstOf(t, c, stream), "partition 1 has yet to handle message 2")
		})
	}
}

// seenAs is a stream with a given cached info.
type seenAs struct {
	jetstream.Stream
	jetstream.StreamInfo
}

func (s *seenAs) CachedInfo() *jetstream.StreamInfo { return &s.StreamInfo }

// One server of several may not know the newest messages. So "this partition has no messages"
// counts only if the look before agreed, and only up to the stream's end at that look.
func TestOneLookAtAReplicatedStreamIsNotEnough(t *testing.T) {
	t.Parallel()
	var stream, other seenAs
	stream.Created, stream.Config.Replicas = time.Unix(1, 0), 3
	other.Created, other.Config.Replicas = time.Unix(2, 0), 3
	const last, cursor = 20, 5
	nothing, once := &survey{}, &survey{stream: stream.Created, last: 12, partitions: map[int]bool{1: true}}
	require.EqualValues(t, cursor, nothing.upTo(1, &stream, last, cursor))
	require.EqualValues(t, 12, once.upTo(1, &stream, last, cursor))
	require.EqualValues(t, 15, once.upTo(1, &stream, last, 15), "what is handled is handled")
	require.EqualValues(t, cursor, once.upTo(2, &stream, last, cursor), "another partition")
	require.EqualValues(t, cursor, once.upTo(1, &other, last, cursor), "another stream")
	stream.Config.Replicas = 1
	require.EqualValues(t, last, nothing.upTo(1, &stream, last, cursor), "a single server knows")
}
