package faults

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A Postgres with slow flushes makes commands wait, and does nothing else. No command is given up,
// and none becomes a dead letter. Without the flag the test takes a short time. Each flush then
// takes longer than the projections of a commit may take.
func TestASlowFlushGivesNoCommandUp(t *testing.T) {
	t.Parallel()
	flush, length := 2*time.Second, *slowFlushFlag
	if length == 0 {
		flush, length = 12*time.Second, 40*time.Second
	}
	w := newWorld(t, shape{brokers: 1, workers: 2, started: 2, partitions: 4, variation: variation{standby: synchronous}})
	w.database.acknowledgements.slow(flush, toServer)
	l := startLoad(w, 1)
	pause(t.Context(), length)
	w.database.acknowledgements.heal()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	require.NoError(t, w.heal(ctx))
	l.finish()
	e, err := w.rest(ctx, nil)
	require.NoError(t, err)
	require.Empty(t, check(e, l.all(), w.partitions))
	var letters, given int
	require.NoError(t, w.pool.QueryRow(ctx, "select count(*), (select count(*) from "+w.table("receipts")+
		" where error->>'code' = 'gave_up') from "+w.table("dead_letters")).Scan(&letters, &given))
	require.Zero(t, letters, "dead letters")
	require.Zero(t, given, "commands that were given up")
	t.Logf("%d events in %s with flushes of %s", len(e.log), w.now().Round(time.Second), flush)
}
