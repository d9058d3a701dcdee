package storetest

import (
	"context"
	"fmt"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/store"
)

// pruner is a store that can forget old receipts.
type pruner interface {
	Prune(ctx context.Context, age time.Duration, wall time.Time, limit int) (int, error)
}

// retention lies between the ages of the receipts that tests make.
const retention = 24*time.Hour + 30*time.Minute

// madeAgo commits receipts of these ages, named c-0, c-1 ...
func (s *suite) madeAgo(ages ...time.Duration) (made []store.Receipt) {
	s.Helper()
	now := time.Now().UTC().Truncate(time.Microsecond)
	c := s.next(counter("1"))
	for i, age := range ages {
		r := receipt(counter("1"), fmt.Sprint("c-", i))
		r.At = now.Add(-age)
		c.Receipts = append(c.Receipts, r)
	}
	s.commit(c)
	return c.Receipts
}

func (s *suite) pruner() pruner {
	p, able := s.store.(pruner)
	if !able {
		s.Skip("it keeps receipts for ever")
	}
	return p
}

func prune(s *suite) {
	p := s.pruner()
	const old, young = 7, 3
	var ages []time.Duration
	for i := range old + young {
		ages = append(ages, retention+(old-time.Duration(i))*time.Hour-30*time.Minute)
	}
	made := s.madeAgo(ages...)
	left := func() (n int) {
		for i := range old + young {
			n += len(s.receiptsOf(counter("1"), fmt.Sprint("c-", i)))
		}
		return n
	}
	for _, limit := range []int{4, 0, 4, 4} {
		expected := min(limit, left()-young)
		n, err := p.Prune(s.ctx(), retention, time.Now(), limit)
		require.NoError(s, err)
		require.Equal(s, expected, n)
	}
	require.Equal(s, made[old:], s.receiptsOf(counter("1"), "c-7", "c-8", "c-9"))
	require.Equal(s, young, left())
	require.Len(s, s.log(), 1, "events stay")

	again := s.next(counter("1"))
	again.Receipts = []store.Receipt{receipt(counter("1"), "c-0")}
	s.commit(again) // it counts as new
}

// pruneInDoubt checks that nothing is deleted or dated anew while the clocks disagree. Either
// clock may be wrong, that of the caller or that of the store.
func pruneInDoubt(s *suite) {
	p := s.pruner()
	made := s.madeAgo(2*retention, -2*retention)
	for _, off := range []time.Duration{2 * time.Hour, -2 * time.Hour, 87600 * time.Hour, -87600 * time.Hour} {
		n, err := p.Prune(s.ctx(), retention, time.Now().Add(off), 10)
		require.NoError(s, err)
		require.Zero(s, n)
		require.Equal(s, made, s.receiptsOf(counter("1"), "c-0", "c-1"), "with a clock %s ahead", off)
	}
	n, err := p.Prune(s.ctx(), retention, time.Now().Add(-50*time.Minute), 10)
	require.NoError(s, err)
	require.Equal(s, 1, n)
}

func redate(s *suite) {
	p := s.pruner()
	made := s.madeAgo(0, -30*time.Minute, -87600*time.Hour, -2*time.Hour)
	before := time.Now()
	n, err := p.Prune(s.ctx(), retention, time.Now(), 10)
	require.NoError(s, err)
	require.Zero(s, n)
	left := s.receiptsOf(counter("1"), "c-0", "c-1", "c-2", "c-3")
	require.Len(s, left, len(made))
	require.Equal(s, made[:2], left[:2])
	for i, r := range left[2:] {
		require.WithinRange(s, r.At, before.Add(-time.Minute), time.Now().Add(time.Minute))
		r.At = made[2+i].At
		require.Equal(s, made[2+i], r)
	}
}
