package lane_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/internal/lane"
	"github.com/maestro-es/maestro/store"
)

var errNetwork = fmt.Errorf("read tcp: unexpected EOF") // like a lost connection

// published is a publisher that remembers its calls.
type published struct {
	mu    sync.Mutex
	calls []committed
}

type committed struct {
	position int64
	events   []store.Event
}

func (*published) Noticed(int64) {}

func (p *published) Committed(position int64, events []store.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls = append(p.calls, committed{position, events})
}

func (p *published) Published() (int64, time.Time) { return 0, time.Time{} }

// positions returns the position of each call, negative if the call had no events.
func (p *published) positions() (n []int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.calls {
		if c.events == nil {
			c.position *= -1
		}
		n = append(n, c.position)
	}
	return n
}

// foreign commits an event of an aggregate, like another writer under the same epoch.
func foreign(t *testing.T, s store.Store, id string, by int) {
	t.Helper()
	other := newRigAt(t, s, must(t, s), nil).run()
	require.Equal(t, store.Committed, other.one(add(id, "foreign"+fmt.Sprint(by), by)).Outcome.Status)
}

func must(t *testing.T, s store.Store) store.Partition {
	t.Helper()
	row, err := s.Partition(t.Context(), 0)
	require.NoError(t, err)
	return row
}

func TestACommandIsDecidedAnewWhenAnotherHasWritten(t *testing.T) {
	eachStore(t, func(t *testing.T, s store.Store) {
		told := &published{}
		r := newRigAt(t, s, acquired(t, s), told).run()
		r.batch(add("a", "1", 1), add("b", "1", 1))
		foreign(t, s, "a", 10)
		foreign(t, s, "c", 20)

		results := r.batch(expecting(1, add("a", "2", 100)), expecting(2, add("a", "3", 100)), add("b", "2", 1), add("a", "1", 1))
		require.Equal(t, []string{"rejected sequence_mismatch", "committed", "committed", "committed again"}, statuses(results))
		require.Equal(t, []int64{2, 3, 2, 1}, sequencesOf(results))
		require.Equal(t, []int64{4, 5, 6, 1}, positionsOf(results))
		root, err := r.look("a", true)
		require.NoError(t, err)
		require.Equal(t, Tally{Total: 111}, root.State)
		require.Eventually(t, func() bool { return slices.Equal([]int64{2, -4, 6}, told.positions()) }, // told after the answer
			10*time.Second, time.Millisecond, "the publisher is told to read the others' events")
	})
}

func TestACurrentReadSeesWhatOthersWrote(t *testing.T) {
	eachStore(t, func(t *testing.T, s store.Store) {
		r := newRigAt(t, s, acquired(t, s), nil).run()
		r.one(add("a", "1", 1))
		foreign(t, s, "a", 10)
		stale, err := r.look("a", false)
		require.NoError(t, err)
		require.Equal(t, Tally{Total: 1}, stale.State)
		current, err := r.look("a", true)
		require.NoError(t, err)
		require.Equal(t, Tally{Total: 11}, current.State)
	})
}

// The same command comes in twice, through two owners. The second finds the receipt even if the
// command wrote no event.
func TestACommandThatAnotherHasHandledIsNotHandledAgain(t *testing.T) {
	eachStore(t, func(t *testing.T, s store.Store) {
		r := newRigAt(t, s, acquired(t, s), nil).run()
		other := newRigAt(t, s, must(t, s), nil).run()
		require.Equal(t, []string{"committed", "rejected forbidden"}, statuses(other.batch(add("a", "1", 1), do("a", "2", "reject"))))
		require.Equal(t, []string{"committed again", "rejected forbidden again", "committed"},
			statuses(r.batch(add("a", "1", 1), do("a", "2", "reject"), add("a", "3", 1))))
		require.Equal(t, "rejected forbidden", status(other.one(do("b", "2", "reject")).Outcome)) // the position stays
		require.Equal(t, "rejected forbidden again", status(r.one(do("b", "2", "reject")).Outcome))
	})
}

func TestACommitWhoseAnswerWasLostIsFoundByItsReceipts(t *testing.T) {
	eachStore(t, func(t *testing.T, s store.Store) {
		f, told := &faulty{Store: s}, &published{}
		r := newRigAt(t, f, acquired(t, s), told).run()
		r.one(add("a", "1", 1))
		fail, _ := times(1, errNetwork)
		f.trouble(nil, func(*store.Commit) error { return fail() }, nil)
		results := r.batch(returning(lane.ReturnEvents, "2"), do("a", "3", "reject"), at(9, add("b", "4", 1)), add("a", "1", 1))
		require.Equal(t, []string{"committed again", "rejected forbidden again", "committed again", "committed again"}, statuses(results))
		require.Equal(t, []int64{4, 4, 1, 1}, sequencesOf(results))
		require.Len(t, results[0].Events, 3)
		require.Len(t, f.log(t), 5)
		require.EqualValues(t, 9, r.row().Cursor.Sequence)
		require.Equal(t, []int64{1, -5}, told.positions())

		require.Equal(t, "committed", status(r.one(add("a", "5", 1)).Outcome))
		require.Eventually(t, func() bool { return slices.Equal([]int64{1, -5, 6}, told.positions()) }, // told after the answer
			10*time.Second, time.Millisecond)
	})
}

// A commit without events does not move the position, so only its receipts show that it was made.
func TestACommitWithoutEventsWhoseAnswerWasLost(t *testing.T) {
	eachStore(t, func(t *testing.T, s store.Store) {
		f := &faulty{Store: s}
		r := newRigAt(t, f, acquired(t, s), nil).run()
		fail, _ := times(1, errNetwork)
		f.trouble(nil, func(*store.Commit) error { return fail() }, nil)
		require.Equal(t, []string{"rejected forbidden again", "committed again"}, statuses(r.batch(at(3, do("a", "1", "reject")), at(4, add("a", "2", 0)))))
		require.EqualValues(t, 4, r.row().Cursor.Sequence)
		require.Equal(t, "committed", status(r.one(add("a", "3", 1)).Outcome))
	})
}

func TestFaultsOfTheMomentLoseNothingAndKeepTheOrder(t *testing.T) {
	eachStore(t, func(t *testing.T, s store.Store) {
		f := &faulty{Store: s}
		r := newRigAt(t, f, acquired(t, s), nil, func(c *lane.Config) { c.MaxBatch = 4 }).run()
		before, _ := times(2, errNetwork)
		after, _ := times(1, errNetwork)
		reading, _ := times(3, errNetwork)
		f.trouble(func(*store.Commit) error { return before() }, func(*store.Commit) error { return after() }, reading)
		var commands []*lane.Command
		for i := range 10 {
			commands = append(commands, expecting(int64(i), add("a", fmt.Sprint(i), 1)))
		}
		for i, result := range collect(r.put(commands...), 10) {
			require.Equal(t, store.Committed, result.Outcome.Status)
			require.Equal(t, fmt.Sprint(i), result.Outcome.CommandID)
			require.EqualValues(t, i+1, result.Outcome.Sequence)
		}
		require.Len(t, f.log(t), 10)
	})
}

func TestALaneThatStopsWhileTheStoreIsAwayLeavesItsBatch(t *testing.T) {
	s := store.NewMemory(1)
	f := &faulty{Store: s}
	r := newRigAt(t, f, acquired(t, s), nil).run()
	fail, failed := times(1_000_000, errNetwork)
	f.trouble(func(*store.Commit) error { return fail() }, nil, nil)
	results := r.put(add("a", "1", 1), add("a", "2", 1), at(3, add("a", "3", 1)), add("a", "4", 1))
	<-failed
	<-failed
	r.stop()
	require.NoError(t, <-r.stopped)
	for _, result := range collect(results, 3) {
		require.Equal(t, "failed unavailable", status(result.Outcome))
		require.ErrorIs(t, result.Err, lane.ErrStopped)
	}
	require.Empty(t, results, "the durable command is its next owner's")
	require.Empty(t, f.log(t))
}

func TestAFormerOwnerStops(t *testing.T) {
	for name, commands := range map[string][]*lane.Command{
		"commands":       {add("a", "2", 1), do("a", "3", "reject")},
		"a receipt only": {do("a", "2", "reject"), do("a", "3", "reject")},
	} {
		t.Run(name, func(t *testing.T) {
			eachStore(t, func(t *testing.T, s store.Store) {
				var fresh []*lane.Command
				for _, c := range commands {
					fresh = append(fresh, &lane.Command{Key: c.Key, ID: c.ID, Name: c.Name, Body: c.Body})
				}
				r := newRigAt(t, s, acquired(t, s), nil).run()
				r.one(add("a", "1", 1))
				at := acquired(t, s)
				row := r.row()
				for _, result := range r.batch(fresh...) {
					require.Equal(t, "failed unavailable", status(result.Outcome))
					require.ErrorIs(t, result.Err, lane.ErrStopped)
				}
				require.ErrorIs(t, <-r.stopped, store.ErrFenced)
				require.Equal(t, row, r.row())
				require.Len(t, r.log(), 1)
				require.Equal(t, "committed", status(newRigAt(t, s, at, nil).run().one(add("a", "2", 1)).Outcome))
			})
		})
	}
}

func TestAFormerOwnerGivesNoCurrentAnswer(t *testing.T) {
	eachStore(t, func(t *testing.T, s store.Store) {
		r := newRigAt(t, s, acquired(t, s), nil).run()
		_, err := r.look("a", true)
		require.NoError(t, err)
		acquired(t, s)
		_, err = r.look("a", false)
		require.NoError(t, err, "a cached answer may be stale")
		_, err = r.look("a", true)
		require.ErrorIs(t, err, lane.ErrStopped)
		require.ErrorIs(t, <-r.stopped, store.ErrFenced)
	})
}

// The commit was made but its answer was lost. Before the lane can read the row, another owner
// takes over.
func TestACommitWhoseAnswerWasLostBeforeATakeover(t *testing.T) {
	eachStore(t, func(t *testing.T, s store.Store) {
		f := &faulty{Store: s}
		r := newRigAt(t, f, acquired(t, s), nil).run()
		f.trouble(nil, func(*store.Commit) error {
			_, err := s.Acquire(t.Context(), 0, "another")
			return errors.Join(errNetwork, err)
		}, nil)
		require.Equal(t, "failed unavailable", status(r.one(add("a", "1", 1)).Outcome), "asking again tells")
		require.ErrorIs(t, <-r.stopped, store.ErrFenced)
		next := newRigAt(t, s, must(t, s), nil).run()
		require.Equal(t, "committed again", status(next.one(add("a", "1", 1)).Outcome))
		require.Len(t, f.log(t), 1)
	})
}

func TestALaneSavesWhatIsPublishedWhenItStops(t *testing.T) {
	eachStore(t, func(t *testing.T, s store.Store) {
		stream := time.Unix(5, 0).UTC()
		p := &upTo{stream: stream}
		r := newRigAt(t, s, acquired(t, s), p).run()
		r.batch(add("a", "1", 1), add("a", "2", 1))
		require.Zero(t, r.row().Published)
		p.position.Store(2)
		r.stop()
		require.NoError(t, <-r.stopped)
		row := r.row()
		require.EqualValues(t, 2, row.Published)
		require.Equal(t, stream, row.EventStreamCreated)
	})
}

// upTo is a publisher that has published up to a position.
type upTo struct {
	position atomic.Int64
	stream   time.Time
}

func (*upTo) Committed(int64, []store.Event)  {}
func (*upTo) Noticed(int64)                   {}
func (p *upTo) Published() (int64, time.Time) { return p.position.Load(), p.stream }

func collect(results <-chan lane.Result, n int) (all []lane.Result) {
	for range n {
		all = append(all, <-results)
	}
	return all
}

// telling is a store that fails to read rows, and signals after each failure that its server is
// back.
type telling struct {
	store.Store
	mu    sync.Mutex
	fails int
	back  chan struct{}
}

func (s *telling) WritableAgain() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.back
}

func (s *telling) Partition(ctx context.Context, partition int) (store.Partition, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fails--; s.fails >= 0 {
		s.back = make(chan struct{})
		close(s.back)
		return store.Partition{}, errNetwork
	}
	s.back = nil
	return s.Store.Partition(ctx, partition)
}

// A lane that has waited for long goes on as soon as the server is back. With the lane's own pauses
// these reads would take minutes.
func TestALaneGoesOnWhenItsStoreIsBack(t *testing.T) {
	eachStore(t, func(t *testing.T, s store.Store) {
		f := &faulty{Store: s}
		r := newRigAt(t, &telling{Store: f, fails: 200}, acquired(t, s), nil).run()
		fail, _ := times(1, errNetwork)
		f.trouble(nil, func(*store.Commit) error { return fail() }, nil)
		select {
		case result := <-r.put(add("a", "1", 1)):
			require.Equal(t, "committed again", status(result.Outcome))
		case <-time.After(time.Minute):
			require.Fail(t, "it waits for its own time")
		}
	})
}
