package hlc

import (
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

func TestReadingsRiseWhateverTheWallClockDoes(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	walls := []time.Time{at, at, at.Add(-time.Hour), at.Add(time.Second), at}
	n := 0
	c := NewWithWall("a", func() time.Time { n++; return walls[(n-1)%len(walls)] })
	last := c.Now()
	require.Equal(t, at, last)
	for range 100 {
		now := c.Now()
		require.True(t, now.After(last), "%s then %s", last, now)
		last = now
	}
}

func TestObserveMovesTheClockForwardOnly(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	c := NewWithWall("a", func() time.Time { return at })
	c.Observe(at.Add(time.Hour))
	require.Equal(t, at.Add(time.Hour+time.Microsecond), c.Now())
	c.Observe(at)
	require.Equal(t, at.Add(time.Hour+2*time.Microsecond), c.Now())
}

func TestIDsRiseAndDifferBetweenNodes(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	a, b := NewWithWall("a", func() time.Time { return at }), NewWithWall("b", func() time.Time { return at })
	last := ""
	for range 3000 {
		id := a.NewID()
		require.Greater(t, id, last)
		last = id
	}
	parsed, err := uuid.Parse(last)
	require.NoError(t, err)
	require.Equal(t, uuid.Version(7), parsed.Version())
	require.Equal(t, uuid.RFC4122, parsed.Variant())
	seconds, _ := parsed.Time().UnixTime()
	require.Equal(t, at.Unix(), seconds)
	require.NotEqual(t, NewWithWall("a", func() time.Time { return at }).NewID(), b.NewID())
}

func TestConcurrentReadingsAreDistinct(t *testing.T) {
	at := time.Now()
	c := NewWithWall("", func() time.Time { return at })
	var seen sync.Map
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 1000 {
				_, twice := seen.LoadOrStore(c.NewID(), true)
				if twice {
					t.Error("an id was given twice")
				}
			}
		})
	}
	group.Wait()
}
