package consumer

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/internal/hlc"
	"github.com/maestro-es/maestro/internal/wire"
	"github.com/maestro-es/maestro/store"
)

func TestOldReceiptsAreForgotten(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	s := store.NewMemory(4)
	c := b.newConsumer(s, s)
	c.ReceiptRetention = time.Hour
	young := time.Now()
	old := young.Add(-2 * c.ReceiptRetention)
	receipts := func(n int, at time.Time) (commands []store.CommandKey) {
		commit := &store.Commit{Partition: 1}
		for i := range n {
			r := store.Receipt{Aggregate: store.Key{Type: "box", ID: "a"}, CommandID: fmt.Sprint(at.Unix(), "-", i), At: at}
			commit.Receipts, commands = append(commit.Receipts, r), append(commands, r.Key())
		}
		require.NoError(t, s.Commit(t.Context(), commit))
		return commands
	}
	all := append(receipts(2*pruneLimit+5, old), receipts(3, young)...)
	stop := b.start(c)
	require.Eventually(t, func() bool {
		left, err := s.Receipts(t.Context(), 1, all)
		require.NoError(t, err)
		require.GreaterOrEqual(t, len(left), 3)
		return len(left) == 3
	}, 20*time.Second, time.Millisecond)
	stop()

	c.ReceiptRetention = 0
	c.prune(t.Context()) // returns: there is nothing to do
}

// An idle namespace keeps its last command in the stream, so it also keeps that command's receipt.
// Otherwise the command would take effect again if the stream is read from its beginning.
func TestACommandInTheStreamKeepsItsReceipt(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	s := store.NewMemory(4)
	c := b.newConsumer(s, s)
	c.ReceiptRetention = time.Nanosecond
	stop := b.start(c)
	ack, err := b.js.Publish(t.Context(), ns.Send("box", "a", "put"), []byte(`{}`), jetstream.WithMsgID("c"))
	require.NoError(t, err)
	command := store.CommandKey{Key: store.Key{Type: "box", ID: "a"}, CommandID: "c"}
	partition := wire.Partition("box", "a", 4)
	has := func() bool {
		found, err := s.Receipts(t.Context(), partition, []store.CommandKey{command})
		require.NoError(t, err)
		return len(found) == 1
	}
	require.Eventually(t, has, 20*time.Second, time.Millisecond)
	stop()
	_, err = c.pruneOnce(t.Context(), s)
	require.NoError(t, err)
	require.True(t, has())

	stream, err := b.js.Stream(t.Context(), ns.CommandStream())
	require.NoError(t, err)
	require.NoError(t, stream.Purge(t.Context(), jetstream.WithPurgeSequence(ack.Sequence+1)))
	n, err := c.pruneOnce(t.Context(), s)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.False(t, has())
}

// A worker whose clock is wrong, ahead or behind, deletes no receipt early.
func TestAWrongClockForgetsNoReceipts(t *testing.T) {
	t.Parallel()
	b, log := newBroker(t), store.NewMemory(4)
	var ahead atomic.Int64
	c := b.newConsumer(log, log, func(c *Config) {
		c.ReceiptRetention = time.Hour
		c.Lane.Clock = hlc.NewWithWall(func(t time.Time) time.Time { return t.Add(time.Duration(ahead.Load())) })
	})
	require.NoError(t, EnsureStream(t.Context(), b.js, ns, 4, StreamConfig{}))
	key := store.CommandKey{Key: store.Key{Type: "box", ID: "a"}, CommandID: "c"}
	require.NoError(t, log.Commit(t.Context(), &store.Commit{Partition: 1, Receipts: []store.Receipt{
		{Aggregate: key.Key, CommandID: key.CommandID, At: time.Now()}}}))
	for _, by := range []time.Duration{-87600 * time.Hour, -2 * time.Hour, 0, 2 * time.Hour, 87600 * time.Hour} {
		ahead.Store(int64(by))
		n, err := c.pruneOnce(t.Context(), log)
		require.NoError(t, err)
		require.Zero(t, n, "with a clock %s ahead", by)
	}
	c.ReceiptRetention = 0
	ahead.Store(0)
	n, err := c.pruneOnce(t.Context(), log)
	require.NoError(t, err)
	require.Equal(t, 1, n)
}
