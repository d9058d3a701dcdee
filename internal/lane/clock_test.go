package lane_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/internal/hlc"
	"github.com/maestro-es/maestro/internal/lane"
	"github.com/maestro-es/maestro/store"
)

const tenYears = 87600 * time.Hour

// clockOff moves the clock of the lane's machine.
func clockOff(by time.Duration) func(*lane.Config) {
	return func(c *lane.Config) { c.Clock = hlc.NewWithWall(func(t time.Time) time.Time { return t.Add(by) }) }
}

func TestTheTimesOfEventsAreWithinAMinuteOfTheStores(t *testing.T) {
	eachStore(t, func(t *testing.T, s store.Store) {
		for by, want := range map[time.Duration]time.Duration{
			-tenYears: -time.Minute, -time.Second: -time.Second, 0: 0, time.Second: time.Second, tenYears: time.Minute,
		} {
			r := newRig(t, store.NewMemory(1), clockOff(by)).run()
			require.Equal(t, "committed", status(r.one(add("a", "1", 1)).Outcome))
			require.WithinDuration(t, time.Now().Add(want), r.log()[0].RecordedAt, 2*time.Second, "with a clock %s ahead", by)
		}
		r := newRig(t, s, clockOff(tenYears)).run()
		r.one(add("a", "1", 1))
		r.stop()
		r = newRig(t, s, clockOff(-tenYears)).run()
		r.batch(add("a", "2", 1), add("a", "3", 1))
		log := r.log()
		require.Len(t, log, 3)
		require.True(t, log[0].RecordedAt.Before(log[1].RecordedAt), "the next owner goes on from there")
		require.True(t, log[1].RecordedAt.Before(log[2].RecordedAt))
	})
}

// A receipt has the later time of the two clocks, so that a clock that is behind does not make an
// id be forgotten early.
func TestAReceiptIsAtLeastOfNow(t *testing.T) {
	eachStore(t, func(t *testing.T, s store.Store) {
		before := time.Now()
		r := newRig(t, s, clockOff(-tenYears)).run()
		r.one(add("a", "1", 1))
		r.one(do("a", "2", "reject"))
		for _, id := range []string{"1", "2"} {
			k := store.CommandKey{Key: key("a"), CommandID: id}
			found, err := s.Receipts(t.Context(), 0, []store.CommandKey{k})
			require.NoError(t, err)
			require.WithinRange(t, found[k].At, before.Add(-time.Second), time.Now().Add(time.Second))
		}
	})
}

// The time of events may be ahead of every clock. Deadlines are compared with the machine's clock.
func TestADeadlineIsHeldToTheMachinesClock(t *testing.T) {
	eachStore(t, func(t *testing.T, s store.Store) {
		r := newRig(t, s, clockOff(50*time.Second)).run()
		r.one(add("a", "1", 1))
		r.stop()
		<-r.stopped
		c := add("a", "2", 1)
		c.Deadline = time.Now().Add(20 * time.Second)
		r = newRig(t, s, clockOff(0)).run()
		require.Equal(t, "committed", status(r.one(c).Outcome))
		require.True(t, r.log()[1].RecordedAt.After(c.Deadline))
		r.stop()

		late := add("a", "3", 1)
		late.Deadline = time.Now().Add(30 * time.Minute)
		r = newRig(t, s, clockOff(time.Hour)).run()
		require.Equal(t, "failed deadline_exceeded", status(r.one(late).Outcome))
		r.stop()
		r = newRig(t, s, clockOff(-tenYears)).run()
		late.Deadline = time.Now().Add(-time.Hour)
		require.Equal(t, "committed", status(r.one(late).Outcome))
	})
}

// Two lanes of one worker: the time that one lane finds in its row does not affect the other lane.
func TestATimeFromTheFutureStaysInItsPartition(t *testing.T) {
	t.Parallel()
	s, clock := store.NewMemory(1), hlc.New()
	shared := func(c *lane.Config) { c.Clock = clock }
	require.NoError(t, s.Commit(t.Context(), &store.Commit{Events: []store.Event{added(time.Now().AddDate(64, 0, 0))}}))
	at, err := s.Partition(t.Context(), 0)
	require.NoError(t, err)
	ahead := newRigAt(t, s, at, nil, shared).run() // like a repository, it acquires nothing
	ahead.one(add("a", "1", 1))
	require.WithinDuration(t, time.Now().Add(time.Minute), ahead.log()[1].RecordedAt, 5*time.Second)
	other := newRig(t, store.NewMemory(1), shared).run()
	other.one(add("a", "1", 1))
	require.WithinDuration(t, time.Now(), other.log()[0].RecordedAt, 5*time.Second)
}

// added returns the first event of a log.
func added(at time.Time) store.Event {
	return store.Event{Position: 1, Aggregate: key("first"), RecordedAt: at,
		Recorded: aggregate.Recorded{Sequence: 1, Type: "added", Version: 1, Body: body(Added{By: 1})}}
}
