package lane_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/internal/lane"
	"github.com/maestro-es/maestro/store"
)

const (
	waitFor = 30 * time.Second
	tick    = time.Millisecond
)

func TestABudgetLeavesEachHolderItsPart(t *testing.T) {
	t.Parallel()
	b := lane.NewBudget(1200)
	first, second, third := b.Holder(), b.Holder(), b.Holder() // 200 for each, and 600 for whoever asks first
	require.True(t, first.Try(600))
	require.False(t, first.Try(1))
	require.True(t, second.Try(200))
	require.False(t, second.Try(1))
	require.True(t, third.Try(5000), "who holds nothing goes alone")
	require.False(t, third.Try(1))
	require.EqualValues(t, 5800, b.Used())

	taken := make(chan bool, 1)
	go func() { taken <- second.Take(t.Context(), nil, 300) }()
	third.Give(5000)
	first.Give(500)
	require.True(t, <-taken)
	require.EqualValues(t, 600, b.Used())

	ended, end := context.WithCancel(t.Context())
	end()
	require.False(t, first.Take(ended, nil, 1000))
	stopped := make(chan struct{})
	close(stopped)
	require.False(t, first.Take(t.Context(), stopped, 1000))
	first.Close()
	second.Give(500)
	require.True(t, third.Try(700), "what a former holder has left")
	require.EqualValues(t, 800, b.Used())
}

func within(intake, reads int64) func(*lane.Config) {
	return func(c *lane.Config) {
		c.Memory.Bounded(intake, reads)
		c.MaxEventBytes = func() int { return 1 << 20 }
	}
}

func sized(id, command string, bytes int) *lane.Command {
	return &lane.Command{Key: key(id), ID: command, Name: "add", Body: body(Add{By: 1, Note: strings.Repeat("x", bytes)})}
}

// The tasks that wait for a blocked lane stay within the budget. Requests and backlog each have
// their part, and so has each aggregate.
func TestWhatWaitsStaysWithinTheBudget(t *testing.T) {
	t.Parallel()
	const size, most = 10_000, 400_000
	r := newRig(t, store.NewMemory(1), within(most, 0)).run()
	release := r.hold()
	done := make(chan lane.Result, 1000)
	answered := func(c *lane.Command) *lane.Command {
		c.Done = func(result lane.Result) { done <- result }
		return c
	}
	accepted := 0
	for i := range 100 {
		if err := r.Offer(answered(sized("hot", fmt.Sprint("hot", i), size))); err != nil {
			require.ErrorIs(t, err, lane.ErrBusy)
			continue
		}
		accepted++
	}
	require.Less(t, accepted, most/4/size+1, "of one aggregate")
	for i := range 100 {
		if r.Offer(answered(sized(fmt.Sprint(i), fmt.Sprint(i), size))) == nil {
			accepted++
		}
	}
	require.ErrorIs(t, r.Offer(answered(sized("more", "more", size))), lane.ErrFull)
	require.LessOrEqual(t, r.Memory.Intake.Used(), int64(most/2+size))

	var feeding sync.WaitGroup
	feeding.Go(func() {
		for i := range 100 {
			if err := r.Submit(t.Context(), answered(at(uint64(i+1), sized(fmt.Sprint(i), fmt.Sprint("d", i), size)))); err != nil {
				t.Error(err)
			}
		}
	})
	require.Eventually(t, func() bool { return r.Memory.Intake.Used() > most/2+3*size }, waitFor, tick, "the backlog has its part too")
	require.LessOrEqual(t, r.Memory.Intake.Used(), int64(most))
	release()
	feeding.Wait()
	for range accepted + 100 {
		require.Equal(t, "committed", status((<-done).Outcome))
	}
	require.Eventually(t, func() bool { return r.Memory.Intake.Used() == 0 }, waitFor, tick)
}

func TestACommandLargerThanTheBudgetGoesAlone(t *testing.T) {
	t.Parallel()
	r := newRig(t, store.NewMemory(1), within(1000, 1000)).run()
	for i := range 5 {
		for _, c := range []*lane.Command{sized("a", fmt.Sprint(i), 50_000), at(uint64(i+1), sized("a", fmt.Sprint("d", i), 50_000))} {
			require.Equal(t, "committed", status((<-r.put(c)).Outcome))
		}
	}
	root, err := r.look("a", true)
	require.NoError(t, err)
	require.Equal(t, 10, root.State.Total)
}

// slowKeeper takes no snapshot until it is released.
type slowKeeper struct {
	store.Store
	released chan struct{}
}

func (s *slowKeeper) SaveSnapshots(ctx context.Context, partition int, snapshots []store.Snapshot) error {
	<-s.released
	return s.Store.SaveSnapshots(context.WithoutCancel(ctx), partition, snapshots)
}

func TestSnapshotsThatWaitStayWithinTheBudget(t *testing.T) {
	t.Parallel()
	const size, most = 100_000, 3 << 20
	s := &slowKeeper{store.NewMemory(1), make(chan struct{})}
	r := newRig(t, s, within(0, most))
	r.Snapshots.Within(r.Memory)
	r.run()
	for i := range 100 {
		c := &lane.Command{Key: key(fmt.Sprint(i)), ID: "1", Name: "add", Body: body(Add{By: 1, Times: 5, Note: strings.Repeat("x", size)})}
		require.Equal(t, "committed", status(r.one(c).Outcome))
		require.LessOrEqual(t, r.Memory.Reads.Used(), int64(most))
	}
	require.Greater(t, r.Memory.Reads.Used(), int64(10*size))
	require.Zero(t, r.snapshotOf(key("99")))
	close(s.released)
	require.Eventually(t, func() bool { return r.Memory.Reads.Used() == 0 }, waitFor, tick)
	r.requireSnapshots(map[string]int64{"0": 5})
	// A snapshot for which there was no room is taken when the aggregate is used next.
	require.Eventually(t, func() bool {
		_, err := r.look("99", false)
		return err == nil && r.snapshotOf(key("99")) == 5
	}, waitFor, tick)
}

// An aggregate with too many events for one read is read page by page: in its lane, at a sequence,
// and for a duplicate.
func TestALongHistoryIsReadWithinTheBudget(t *testing.T) {
	eachStore(t, func(t *testing.T, s store.Store) {
		const size, events = 500_000, 3 * store.PageBytes / 500_000
		long := define("long") // without snapshots
		add := func(command string, size int, r lane.Return) *lane.Command {
			c := sized("a", command, size)
			c.Key.Type, c.Return = "long", r
			return c
		}
		r := newRig(t, s, within(0, 1), having(long)).run()
		for i := range events {
			require.Equal(t, "committed", status(r.one(add(fmt.Sprint(i), size, lane.ReturnNone)).Outcome))
		}
		r.stop()
		<-r.stopped

		counting := &paged{Store: s}
		at, err := s.Acquire(t.Context(), 0, "next")
		require.NoError(t, err)
		next := newRigAt(t, counting, at, nil, within(0, 1), having(long)).run()
		result := next.one(add("last", 1, lane.ReturnState))
		require.Equal(t, events+1, result.Instance.Root().(aggregate.Root[Tally]).State.Total)
		replayed, err := next.Memory.Replay(t.Context(), counting, long, 0, "a", events-1)
		require.NoError(t, err)
		require.Equal(t, events-1, replayed.Root().(aggregate.Root[Tally]).State.Total)
		result = next.one(add(fmt.Sprint(events-2), 1, lane.ReturnState))
		require.Equal(t, events-1, result.Instance.Root().(aggregate.Root[Tally]).State.Total)
		require.Zero(t, next.Memory.Reads.Used())
		require.LessOrEqual(t, counting.most, store.PageBytes+size*2)
		require.Positive(t, counting.most)
	})
}

// paged is a store that notes the most bytes of a load.
type paged struct {
	store.Store
	mu   sync.Mutex
	most int
}

func (p *paged) Load(ctx context.Context, partition int, queries []store.Query) ([]store.History, error) {
	histories, err := p.Store.Load(ctx, partition, queries)
	bytes := 0
	for _, h := range histories {
		for _, e := range h.Events {
			bytes += len(e.Body)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.most = max(p.most, bytes)
	return histories, err
}
