package lane_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/internal/lane"
	"github.com/maestro-es/maestro/internal/localpg"
	"github.com/maestro-es/maestro/store"
)

// journal is a store that notes the lane's calls, and whether they succeeded.
type journal struct {
	store.Store
	mu    sync.Mutex
	lines []string
}

func (j *journal) note(what string, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err != nil {
		what += " failed"
	}
	j.lines = append(j.lines, what)
}

func (j *journal) Commit(ctx context.Context, c *store.Commit) error {
	err := j.Store.Commit(ctx, c)
	what := "commit"
	if len(c.Receipts) == 0 {
		what = "fence"
	}
	j.note(what, err)
	return err
}

func (j *journal) Partition(ctx context.Context, partition int) (store.Partition, error) {
	row, err := j.Store.Partition(ctx, partition)
	j.note("row", err)
	return row, err
}

func (j *journal) Receipts(ctx context.Context, partition int, commands []store.CommandKey) (map[store.CommandKey]store.Receipt, error) {
	receipts, err := j.Store.Receipts(ctx, partition, commands)
	j.note("receipts", err)
	return receipts, err
}

func (j *journal) read() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.lines)
}

// A lane that cannot read the row waits until it can, and does nothing else.
func TestNothingIsDoneAfterAnUnknownOutcomeBeforeTheRowIsRead(t *testing.T) {
	eachStore(t, func(t *testing.T, s store.Store) {
		f := &faulty{Store: s}
		j := &journal{Store: f}
		r := newRigAt(t, j, acquired(t, s), nil).run()
		require.Equal(t, "committed", status(r.one(add("a", "0", 1)).Outcome))
		unknown, _ := times(1, errNetwork)
		away, _ := times(2, errNetwork)
		f.trouble(nil, func(*store.Commit) error { return unknown() }, away)
		require.Equal(t, "committed again", status((<-r.put(add("a", "1", 1))).Outcome))
		require.Equal(t, []string{"commit", "commit failed", "row failed", "row failed", "row", "receipts", "fence"}, j.read())
		require.Equal(t, "committed", status(r.one(add("a", "2", 1)).Outcome))
		require.Equal(t, []string{"receipts", "commit"}, j.read()[7:], "no other fence is needed")
	})
}

// If the wait of a commit for an absent standby is cut short, the commit is in the primary's log,
// and in no other. The command is not answered until the standby has the commit.
func TestNothingIsAnsweredThatAStandbyDoesNotHave(t *testing.T) {
	t.Parallel()
	primary, err := localpg.Start(t.Context(), localpg.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, primary.Stop()) })
	standby, err := localpg.StartStandby(t.Context(), primary, localpg.StandbyOptions{Synchronous: true})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, standby.Stop()) })
	s, err := store.Open(t.Context(), localpg.Pool(t, primary.URL()), store.Options{Partitions: 1})
	require.NoError(t, err)
	t.Cleanup(s.Close)
	r := newRig(t, s, func(c *lane.Config) { c.Budgets.Attempt = 500 * time.Millisecond }).run()
	require.Equal(t, "committed", status(r.one(add("a", "1", 1)).Outcome))

	require.NoError(t, standby.Halt(localpg.Fast))
	results := r.put(add("a", "2", 1))
	require.Eventually(t, func() bool { return len(r.log()) == 2 }, time.Minute, 10*time.Millisecond, "in the log")
	read := make(chan error, 1)
	require.NoError(t, r.SubmitRead(t.Context(), &lane.Read{Key: key("a"), Look: nobodyLooks, Done: func(err error) { read <- err }}))
	require.Eventually(t, func() bool { return r.Stats().Doing.Attempts >= 3 }, time.Minute, 10*time.Millisecond)
	require.Empty(t, results, "the standby does not have it")
	require.Empty(t, read, "nor is it shown")

	require.NoError(t, standby.Resume())
	require.Equal(t, "committed again", status((<-results).Outcome))
	require.NoError(t, <-read)
	require.Len(t, r.log(), 2)
}
