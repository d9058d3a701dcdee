package consumer

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/internal/hlc"
	"github.com/maestro-es/maestro/store"
)

// skewed is a consumer whose machine's clock is off, and what it says.
type skewed struct {
	*Consumer
	by  atomic.Int64
	mu  sync.Mutex
	log bytes.Buffer
}

func (s *skewed) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.Write(p)
}

func (s *skewed) said(text string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Count(s.log.String(), text)
}

func newSkewed(t *testing.T) (*broker, *store.Memory, *skewed) {
	t.Helper()
	b, log, s := newBroker(t), store.NewMemory(4), &skewed{}
	s.Consumer = b.newConsumer(log, log)
	s.Logger = slog.New(slog.NewTextHandler(s, nil))
	s.Lane.Clock = hlc.NewWithWall(func(t time.Time) time.Time { return t.Add(time.Duration(s.by.Load())) })
	return b, log, s
}

const differ, agree = "clocks of this machine and of Postgres differ", "clocks of this machine and of Postgres agree again"

func TestClocksThatDifferAreTold(t *testing.T) {
	t.Parallel()
	b, _, s := newSkewed(t)
	b.start(s.Consumer)
	require.Eventually(t, func() bool { _, known := s.Lane.Clock.Ahead(); return known }, 20*time.Second, time.Millisecond)
	require.Zero(t, s.said(differ))
	s.by.Store(int64(-5 * time.Second))
	require.Eventually(t, func() bool { return s.said(differ) == 1 }, 20*time.Second, time.Millisecond)
	require.Equal(t, 1, s.said("ahead_of_postgres=-5"))
	s.by.Store(0)
	require.Eventually(t, func() bool { return s.said(agree) == 1 }, 20*time.Second, time.Millisecond)
}

func TestADifferenceThatLastsIsToldOnce(t *testing.T) {
	t.Parallel()
	_, _, s := newSkewed(t)
	s.Lane.Clock.Saw(time.Now(), time.Now())
	var look skew
	for by, told := range map[time.Duration]int{0: 0, 900 * time.Millisecond: 0} {
		s.by.Store(int64(by))
		look.look(s.Consumer)
		require.Equal(t, told, s.said(differ))
	}
	s.by.Store(int64(time.Hour))
	for range 10 {
		look.look(s.Consumer)
	}
	require.Equal(t, 1, s.said(differ))
	s.by.Store(int64(700 * time.Millisecond)) // neither one nor the other
	look.look(s.Consumer)
	require.Zero(t, s.said(agree))
	s.by.Store(0)
	for range 10 {
		look.look(s.Consumer)
	}
	require.Equal(t, 1, s.said(agree))
}

// A clock that is wrong, ahead or behind, has no id forgotten: neither by its own age nor because
// of what a worker believes to be now.
func TestAWrongClockForgetsNoReceipts(t *testing.T) {
	t.Parallel()
	_, log, s := newSkewed(t)
	s.ReceiptRetention = time.Hour
	require.NoError(t, s.start(t))
	key := store.CommandKey{Key: store.Key{Type: "box", ID: "a"}, CommandID: "c"}
	require.NoError(t, log.Commit(t.Context(), &store.Commit{Partition: 1, Receipts: []store.Receipt{
		{Aggregate: key.Key, CommandID: key.CommandID, At: time.Now()}}}))
	for _, by := range []time.Duration{-87600 * time.Hour, -2 * time.Hour, 0, 2 * time.Hour, 87600 * time.Hour} {
		s.by.Store(int64(by))
		n, err := s.pruneOnce(t.Context(), log)
		require.NoError(t, err)
		require.Zero(t, n, "with a clock %s ahead", by)
	}
	s.ReceiptRetention = 0
	s.by.Store(0)
	n, err := s.pruneOnce(t.Context(), log)
	require.NoError(t, err)
	require.Equal(t, 1, n)
}

// start makes the command stream.
func (s *skewed) start(t *testing.T) error {
	return EnsureStream(t.Context(), s.JetStream, s.Namespace, s.Store.Partitions(), s.Stream)
}
