package store_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/store"
)

// After a statement was refused, the statements of its partition undo nobody else's commits for a
// while.
func TestAPartitionWhoseStatementsAreRefusedGoesApart(t *testing.T) {
	t.Parallel()
	c := newCrowd(t)
	newTotals(t, c.store, c.pool)
	var failed *store.StatementError
	require.ErrorAs(t, c.store.Commit(t.Context(), stating(in(7), -1)), &failed)
	c.gather(t.Context(), in(0), stating(in(1), 1), stating(in(2), 2))
	c.begin(t.Context(), stating(in(7), -1)) // it does not wait with the others
	require.Never(t, func() bool { return c.store.Waiting() > 2 }, 20*tick, tick)
	c.release()
	require.ErrorAs(t, <-c.outcomes[3], &failed)
	for _, i := range []int{0, 1, 2} {
		require.NoError(t, <-c.outcomes[i], i)
	}
	require.Equal(t, 1, c.transactions(1, 2), "nobody has undone their transaction")
	require.Equal(t, []int{1, 2}, totals(t, c.pool))
}
