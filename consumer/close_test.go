package consumer

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/internal/wire"
	"github.com/maestro-es/maestro/store"
)

func (b *broker) commandStream() jetstream.Stream {
	b.Helper()
	stream, err := b.js.Stream(b.Context(), ns.CommandStream())
	require.NoError(b, err)
	return stream
}

// close shuts the command stream and returns how many commands are not handled.
func (b *broker) close(s Store) uint64 {
	b.Helper()
	waiting, err := CloseStream(b.Context(), b.js, ns, s, slog.New(slog.DiscardHandler))
	require.NoError(b, err)
	return waiting
}

func TestOnlyAStreamThatIsHandledIsEmptied(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	s := store.NewMemory(4)
	require.Zero(t, b.close(s), "there is no stream yet")

	// One partition gets many commands. The cursors of the others lag behind or have never moved.
	stop := b.start(b.newConsumer(s, s))
	b.outcome(b.send("early", "put", put(0)))
	for i := range 10 {
		b.outcome(b.send("late", "put", put(i)))
	}
	stop()
	for i := range 3 {
		b.send(fmt.Sprint(i), "put", put(i))
	}
	require.EqualValues(t, 3, b.close(s))
	require.GreaterOrEqual(t, b.commandStream().CachedInfo().State.Msgs, uint64(3), "nothing of them is removed")
	_, err := b.js.Publish(t.Context(), ns.Send("box", "4", "put"), nil, jetstream.WithRetryAttempts(0))
	require.ErrorIs(t, err, jetstream.ErrNoStreamResponse, "it is shut")

	stop = b.start(b.newConsumer(s, s)) // it opens the stream
	b.outcome(b.send("2", "put", put(4)))
	for _, id := range []string{"0", "1", "2"} {
		b.outcome(b.send(id, "put", put(5)))
	}
	stop()
	require.Zero(t, b.close(s))
	require.Zero(t, b.commandStream().CachedInfo().State.Msgs)
	require.Zero(t, b.close(s), "once more is fine")
}

func TestTheServerTakesAnotherTransform(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	for _, partitions := range []int{64, 16, 100} {
		require.NoError(t, EnsureStream(t.Context(), b.js, ns, partitions, StreamConfig{}))
		b.send("42", "put", put(1))
		stream := b.commandStream()
		m, err := stream.GetMsg(t.Context(), stream.CachedInfo().State.LastSeq)
		require.NoError(t, err)
		require.Equal(t, fmt.Sprintf("maestro.cmd.%d.box.42.put", wire.Partition("box", "42", partitions)), m.Subject)
		b.close(store.NewMemory(partitions))
	}
}

// In a stream that was created again, nothing counts as handled, whatever the cursors say.
func TestCommandsOfAnotherStreamAreNotTakenForHandled(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	s := store.NewMemory(4)
	for p := range 4 {
		require.NoError(t, s.Commit(t.Context(), &store.Commit{Partition: p,
			Cursor: store.Cursor{StreamCreated: time.Now().Add(-time.Hour), Sequence: 100, Time: time.Now()}}))
	}
	require.NoError(t, EnsureStream(t.Context(), b.js, ns, 4, StreamConfig{}))
	b.send("a", "put", put(1))
	b.send("b", "put", put(2))
	require.EqualValues(t, 2, b.close(s))
}
