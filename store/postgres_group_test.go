package store_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/store"
)

// patience bounds the wait for an event that happens soon. tick is how often the test checks for
// it.
const patience, tick = 30 * time.Second, time.Millisecond

// crowd is a store that makes one transaction at a time. The test can hold a transaction up.
type crowd struct {
	*testing.T
	pool    *pgxpool.Pool
	store   *store.Postgres
	blocker pgx.Tx
	// outcomes has the results of the commits of partitions 0, 1 ... The first of them is under way.
	outcomes []chan error
}

func newCrowd(t *testing.T) *crowd {
	pool := newPool(t, func(c *pgxpool.Config) { c.MaxConns = 7 })
	return &crowd{T: t, pool: pool, store: open(t, pool, store.Options{Partitions: 8}).Patient()}
}

// in returns the first commit of a partition.
func in(partition int) *store.Commit {
	c := commitOf()
	c.Partition = partition
	return c
}

// gather begins commits and waits until all but the first wait. The first cannot end before
// release.
func (c *crowd) gather(ctx context.Context, commits ...*store.Commit) {
	var err error
	c.blocker, err = c.pool.Begin(c.Context())
	require.NoError(c, err)
	_, err = c.blocker.Exec(c.Context(), `lock table maestro.log`)
	require.NoError(c, err)
	c.begin(ctx, commits[0])
	c.awaitBlocked()
	c.join(ctx, commits[1:]...)
}

func (c *crowd) begin(ctx context.Context, commit *store.Commit) {
	outcome := make(chan error, 1)
	c.outcomes = append(c.outcomes, outcome)
	go func() { outcome <- c.store.Commit(ctx, commit) }()
}

// join begins commits and waits until they wait for a transaction.
func (c *crowd) join(ctx context.Context, commits ...*store.Commit) {
	for _, commit := range commits {
		before := c.store.Waiting()
		c.begin(ctx, commit)
		require.Eventually(c, func() bool { return c.store.Waiting() == before+1 }, patience, tick)
	}
}

func (c *crowd) awaitBlocked() {
	require.Eventually(c, func() (blocked bool) {
		err := c.blocker.QueryRow(c.Context(), `select exists (select from pg_locks where not granted
			and relation = 'maestro.log'::regclass)`).Scan(&blocked)
		return err == nil && blocked
	}, patience, tick)
}

func (c *crowd) release() { require.NoError(c, c.blocker.Rollback(c.Context())) }

// transactions counts the transactions that have written events of the partitions.
func (c *crowd) transactions(partitions ...int) (n int) {
	require.NoError(c, c.pool.QueryRow(c.Context(), `select count(distinct xmin::text) from maestro.log where partition = any ($1)`,
		partitions).Scan(&n))
	return n
}

func TestCommitsThatComeTogetherShareATransaction(t *testing.T) {
	t.Parallel()
	c := newCrowd(t)
	commits := []*store.Commit{in(5), in(3), in(1), in(2), in(0), in(4)}
	c.gather(t.Context(), commits...)
	c.release()
	for i, outcome := range c.outcomes {
		require.NoError(t, <-outcome, i)
	}
	require.Equal(t, 1, c.transactions(0, 1, 2, 3, 4))
	require.Equal(t, 2, c.transactions(0, 1, 2, 3, 4, 5))
	for _, commit := range commits {
		require.NotZero(t, commit.Clock)
	}
	for partition := range 6 {
		at, err := c.store.Partition(t.Context(), partition)
		require.NoError(t, err)
		require.Equal(t, int64(1), at.Position)
	}
	var receipts, letters int
	require.NoError(t, c.pool.QueryRow(t.Context(), `select (select count(*) from maestro.receipts),
		(select count(*) from maestro.dead_letters)`).Scan(&receipts, &letters))
	require.Equal(t, []int{6, 6}, []int{receipts, letters})
}

// An error of one commit does not affect the other commits of its group.
func TestARefusedCommitLeavesItsCompanyAlone(t *testing.T) {
	t.Parallel()
	c := newCrowd(t)
	first := in(4)
	first.DeadLetters = nil
	require.NoError(t, c.store.Commit(t.Context(), first))
	_, err := c.store.Acquire(t.Context(), 1, "another")
	require.NoError(t, err)

	duplicate := in(4)
	duplicate.Position, duplicate.Events[0].Position, duplicate.Events[0].Sequence = 1, 2, 2
	duplicate.Time, duplicate.Known = committedAt, true
	unstorable := in(5)
	unstorable.Events[0].Type = "\x00"
	behind := in(3)
	behind.Position, behind.Events[0].Position = 7, 8
	c.gather(t.Context(), in(0), in(1), in(2), behind, duplicate, unstorable, in(6))
	c.release()

	require.NoError(t, <-c.outcomes[0])
	require.ErrorIs(t, <-c.outcomes[1], store.ErrFenced)
	require.NoError(t, <-c.outcomes[2])
	require.ErrorIs(t, <-c.outcomes[3], store.ErrConflict)
	require.ErrorIs(t, <-c.outcomes[4], store.ErrDuplicate)
	var data *store.DataError
	require.ErrorAs(t, <-c.outcomes[5], &data)
	require.NoError(t, <-c.outcomes[6])
	require.Equal(t, 3, c.transactions(0, 1, 2, 3, 5, 6))
}

// Two commits for the same place are in one group. One of them is refused, as if they had come one
// after the other.
func TestCommitsForTheSamePlaceInOneGroup(t *testing.T) {
	t.Parallel()
	c := newCrowd(t)
	one, other := in(1), in(1)
	other.Receipts[0].CommandID, other.DeadLetters = "d", nil
	c.gather(t.Context(), in(0), one, other)
	c.release()
	require.NoError(t, <-c.outcomes[0])
	errs := []error{<-c.outcomes[1], <-c.outcomes[2]}
	if errs[0] != nil {
		errs[0], errs[1] = errs[1], errs[0]
	}
	require.NoError(t, errs[0])
	require.ErrorIs(t, errs[1], store.ErrConflict)
}

func TestACommitIsNotMadeWhoseCallerGaveUpBefore(t *testing.T) {
	t.Parallel()
	c := newCrowd(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c.gather(t.Context(), in(0))
	c.join(ctx, in(1), in(2))
	cancel()
	for _, outcome := range c.outcomes[1:] {
		require.ErrorIs(t, <-outcome, context.Canceled)
	}
	c.join(t.Context(), in(3))
	c.release()
	require.NoError(t, <-c.outcomes[0])
	require.NoError(t, <-c.outcomes[3])
	require.Equal(t, 0, c.transactions(1, 2), "they still waited")
	require.Equal(t, 2, c.transactions(0, 3))
}

// When a caller gives up, nobody knows whether its commit under way will happen. Neither the
// caller nor the others need to wait to find out.
func TestACallerMayGiveUpItsTransaction(t *testing.T) {
	t.Parallel()
	c := newCrowd(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c.gather(ctx, in(0))
	c.join(t.Context(), in(1), in(2))
	cancel()
	require.ErrorIs(t, <-c.outcomes[0], context.Canceled)
	require.Eventually(t, func() bool { return c.store.Waiting() == 0 }, patience, tick)
	c.release()
	require.NoError(t, <-c.outcomes[1])
	require.NoError(t, <-c.outcomes[2])
	require.Equal(t, 1, c.transactions(1, 2))
}

func TestAGroupWhoseConnectionIsLostLeavesNothing(t *testing.T) {
	t.Parallel()
	c := newCrowd(t)
	require.NoError(t, c.store.Commit(t.Context(), in(7)))
	c.gather(t.Context(), in(0), in(1), in(2))
	for range 2 { // first the session of the first commit, then that of the two others
		var ended int
		c.awaitBlocked()
		require.NoError(t, c.blocker.QueryRow(t.Context(), `select count(pg_terminate_backend(pid, 60000)) from pg_locks
			where not granted and relation = 'maestro.log'::regclass`).Scan(&ended))
		require.Equal(t, 1, ended)
	}
	for _, outcome := range c.outcomes {
		require.True(t, store.Judge(<-outcome).Passes(), "each finds out for itself what has happened")
	}
	c.release()
	require.Equal(t, 0, c.transactions(0, 1, 2))
}

// Many writers on all partitions of one store each commit one event after the other.
func TestGroupsUnderLoad(t *testing.T) {
	t.Parallel()
	c := newCrowd(t)
	const each = 50
	outcome := make(chan error)
	for partition := range 8 {
		go func() {
			for n := range int64(each) {
				commit := &store.Commit{Partition: partition, Position: n, Events: []store.Event{{Position: n + 1, Aggregate: key,
					Recorded: aggregate.Recorded{Sequence: n + 1, Type: "e", Version: 1, Body: []byte(`{}`)}}},
					Receipts: []store.Receipt{{Aggregate: key, CommandID: fmt.Sprint(n), Status: store.Committed}}}
				if err := c.store.Commit(t.Context(), commit); err != nil {
					outcome <- err
					return
				}
			}
			outcome <- nil
		}()
	}
	for range 8 {
		require.NoError(t, <-outcome)
	}
	var events, receipts int
	require.NoError(t, c.pool.QueryRow(t.Context(), `select (select count(*) from maestro.events),
		(select count(*) from maestro.receipts)`).Scan(&events, &receipts))
	require.Equal(t, []int{8 * each, 8 * each}, []int{events, receipts})
	require.Less(t, c.transactions(0, 1, 2, 3, 4, 5, 6, 7), 8*each)
}

// A commit that has to wait for a lock holds up its own partition only.
func TestACommitThatHasToWaitHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	pool := newPool(t, func(c *pgxpool.Config) { c.MaxConns = 4 }) // one transaction at a time
	s := open(t, pool, store.Options{Partitions: 8})
	blocker, err := pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = blocker.Exec(t.Context(), `select from maestro.partitions where partition = 5 for update`)
	require.NoError(t, err)
	waits := make(chan error, 1)
	go func() { waits <- s.Commit(t.Context(), in(5)) }()
	require.Eventually(t, func() (blocked bool) {
		err := pool.QueryRow(t.Context(), `select exists (select from pg_locks where not granted and pid in
			(select pid from pg_stat_activity where datname = current_database()))`).Scan(&blocked)
		return err == nil && blocked
	}, patience, tick)
	require.NoError(t, s.Commit(t.Context(), in(3)))
	require.NoError(t, s.Commit(t.Context(), in(6)))
	require.Empty(t, waits)
	require.NoError(t, blocker.Rollback(t.Context()))
	require.NoError(t, <-waits)
}
