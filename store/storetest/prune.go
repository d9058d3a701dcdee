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
	Prune(ctx context.Context, before time.Time, limit int) (int, error)
}

func prune(s *suite) {
	p, able := s.store.(pruner)
	if !able {
		return // it keeps them for ever
	}
	const old, young = 7, 3
	c := s.next(counter("1"))
	for i := range old + young {
		r := receipt(counter("1"), fmt.Sprint("c-", i))
		r.At = epochTime.Add(time.Duration(i) * time.Minute)
		c.Receipts = append(c.Receipts, r)
	}
	s.commit(c)
	left := func() (n int) {
		for i := range old + young {
			n += len(s.receiptsOf(counter("1"), fmt.Sprint("c-", i)))
		}
		return n
	}
	before := c.Receipts[old].At
	for _, limit := range []int{4, 0, 4, 4} {
		expected := min(limit, left()-young)
		n, err := p.Prune(s.ctx(), before, limit)
		require.NoError(s, err)
		require.Equal(s, expected, n)
	}
	require.Equal(s, c.Receipts[old:], s.receiptsOf(counter("1"), "c-7", "c-8", "c-9"))
	require.Equal(s, young, left())
	require.Len(s, s.log(), 1, "events stay")

	again := s.next(counter("1"))
	again.Receipts = []store.Receipt{receipt(counter("1"), "c-0")}
	s.commit(again) // as new
}
