package hlc

import (
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// off is a machine whose clock is off by an amount that a test changes.
type off struct{ by time.Duration }

func (o *off) wall(t time.Time) time.Time { return t.Add(o.by) }

// newReference returns a reference that has seen a store with a correct clock.
func newReference(o *off) *Reference {
	r := NewWithWall(o.wall)
	r.Saw(time.Now(), time.Now())
	return r
}

func TestReadingsRiseWhateverTheWallClockDoes(t *testing.T) {
	t.Parallel()
	o := &off{}
	c := newReference(o).Clock()
	last := c.Now().Time
	for _, o.by = range []time.Duration{0, -time.Hour, time.Hour, 0, -87600 * time.Hour, 87600 * time.Hour} {
		for range 100 {
			now := c.Now()
			require.True(t, now.Time.After(last), "%s then %s", last, now.Time)
			require.Equal(t, now.Time, now.Time.Truncate(time.Microsecond))
			last = now.Time
		}
	}
}

func TestAReadingIsWithinAMinuteOfTheStore(t *testing.T) {
	t.Parallel()
	for by, want := range map[time.Duration]time.Duration{
		30 * time.Second: 30 * time.Second, -30 * time.Second: -30 * time.Second,
		time.Hour: 59 * time.Second, -time.Hour: -59 * time.Second, 87600 * time.Hour: 59 * time.Second, -87600 * time.Hour: -59 * time.Second,
	} {
		c := newReference(&off{by}).Clock()
		before := time.Now()
		now := c.Now()
		require.WithinRange(t, now.Time, before.Add(want-time.Millisecond), time.Now().Add(want), "with a clock %s ahead", by)
		require.WithinRange(t, now.Wall, before.Add(by-time.Millisecond), time.Now().Add(by))
		require.WithinRange(t, now.Latest, before.Add(max(0, by)-time.Millisecond), time.Now().Add(max(0, by)))
	}
}

func TestWithoutAStoresClockTheMachinesCounts(t *testing.T) {
	t.Parallel()
	r := NewWithWall((&off{time.Hour}).wall)
	r.Saw(time.Time{}, time.Now())
	_, known := r.Ahead()
	require.False(t, known)
	c := r.Clock()
	c.Observe(time.Now().Add(2*time.Hour), time.Time{})
	require.True(t, c.Now().Time.After(time.Now().Add(2*time.Hour-time.Minute)))
}

// One partition's times do not affect another partition, and a time from the future is limited.
func TestAClockFollowsWhatItObserves(t *testing.T) {
	t.Parallel()
	r := newReference(&off{})
	a, b := r.Clock(), r.Clock()
	now := time.Now().UTC().Truncate(time.Microsecond)
	a.Observe(now.Add(30*time.Second), now)
	require.Equal(t, now.Add(30*time.Second+time.Microsecond), a.Now().Time)
	a.Observe(now, now)
	require.Equal(t, now.Add(30*time.Second+2*time.Microsecond), a.Now().Time)
	a.Observe(now.AddDate(60, 0, 0), now)
	require.Equal(t, now.Add(time.Minute+time.Microsecond), a.Now().Time)
	require.Less(t, b.Now().Time.Sub(now), 10*time.Second)
}

// An exchange gives two limits for the store's time. The known time moves only as far as needed to
// be within them.
func TestAnExchangeThatTookLongDoesNoHarm(t *testing.T) {
	t.Parallel()
	r := newReference(&off{})
	ahead := func() time.Duration { by, _ := r.Ahead(); return by }
	require.Less(t, ahead().Abs(), time.Second)
	r.Saw(time.Now().Add(-20*time.Second), time.Now().Add(-30*time.Second))
	r.Saw(time.Now().Add(-20*time.Second), time.Time{})
	require.Less(t, ahead().Abs(), time.Second, "it agrees with what is known")
	r.Saw(time.Now().Add(-time.Hour), time.Now().Add(-30*time.Second))
	require.InDelta(t, time.Hour-30*time.Second, ahead(), float64(time.Second), "the store's clock was set back")
	r.Saw(time.Now().Add(time.Hour), time.Time{})
	require.InDelta(t, -time.Hour, ahead(), float64(time.Second), "and ahead")
}

func TestAMachineThatIsOffIsKnown(t *testing.T) {
	t.Parallel()
	o := &off{by: 5 * time.Second}
	r := newReference(o)
	by, known := r.Ahead()
	require.True(t, known)
	require.InDelta(t, 5*time.Second, by, float64(time.Second))
	o.by = -time.Hour
	by, _ = r.Ahead()
	require.InDelta(t, -time.Hour, by, float64(time.Second))
	require.WithinDuration(t, time.Now().Add(-time.Hour), r.Wall(), time.Second)
}

func TestIDsRiseAndAreOfNobody(t *testing.T) {
	t.Parallel()
	last := ""
	for range 3000 {
		id := NewID()
		require.Greater(t, id, last)
		last = id
	}
	parsed, err := uuid.Parse(last)
	require.NoError(t, err)
	require.Equal(t, uuid.Version(7), parsed.Version())
	require.Equal(t, uuid.RFC4122, parsed.Variant())
	seconds, _ := parsed.Time().UnixTime()
	require.InDelta(t, time.Now().Unix(), seconds, 10)
	require.NotEqual(t, last[19:], NewID()[19:], "the second half is random")
}

func TestAReferenceIsForAll(t *testing.T) {
	t.Parallel()
	r := New()
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			c := r.Clock()
			for range 1000 {
				r.Saw(time.Now(), time.Now())
				c.Now()
			}
		})
	}
	group.Wait()
	by, known := r.Ahead()
	require.True(t, known)
	require.Less(t, by.Abs(), time.Second)
}
