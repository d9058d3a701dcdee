package ownership

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

// skewed is an owner whose machine's clock is off, with its log.
type skewed struct {
	*Ownership
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

func newSkewed(t *testing.T) (*broker, *skewed) {
	t.Helper()
	b, s := newBroker(t), &skewed{}
	s.Ownership = b.owner(store.NewMemory(4), func(c *Config) {
		c.Logger = slog.New(slog.NewTextHandler(s, nil))
		c.Lane.Clock = hlc.NewWithWall(func(t time.Time) time.Time { return t.Add(time.Duration(s.by.Load())) })
	})
	return b, s
}

const differ, agree = "clocks of this machine and of Postgres differ", "clocks of this machine and of Postgres agree again"

func TestClocksThatDifferAreTold(t *testing.T) {
	t.Parallel()
	b, s := newSkewed(t)
	b.run(s.Ownership)
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
	_, s := newSkewed(t)
	s.Lane.Clock.Saw(time.Now(), time.Now())
	var clocks skew
	for by, told := range map[time.Duration]int{0: 0, 900 * time.Millisecond: 0} {
		s.by.Store(int64(by))
		clocks.compare(s.Ownership)
		require.Equal(t, told, s.said(differ))
	}
	s.by.Store(int64(time.Hour))
	for range 10 {
		clocks.compare(s.Ownership)
	}
	require.Equal(t, 1, s.said(differ))
	s.by.Store(int64(700 * time.Millisecond)) // neither enough for a warning nor for its end
	clocks.compare(s.Ownership)
	require.Zero(t, s.said(agree))
	s.by.Store(0)
	for range 10 {
		clocks.compare(s.Ownership)
	}
	require.Equal(t, 1, s.said(agree))
}
