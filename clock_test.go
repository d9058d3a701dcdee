package maestro_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/client"
	"github.com/maestro-es/maestro/internal/localpg"
	"github.com/maestro-es/maestro/internal/wire"
	"github.com/maestro-es/maestro/store"
)

// One partition has a time from the future, and receipts from a time when a clock was ahead. Other
// partitions do not get that time, no deadline passes because of it, and old receipts are deleted.
func TestAPartitionFromTheFuture(t *testing.T) {
	t.Parallel()
	const partitions = 4
	url := localpg.Database(t)
	pool := localpg.Pool(t, url)
	s, err := store.Open(t.Context(), pool, store.Options{Partitions: partitions})
	require.NoError(t, err)
	s.Close()
	_, err = pool.Exec(t.Context(), `update maestro.partitions set recorded_at = '2090-01-01' where partition = 0`)
	require.NoError(t, err)
	_, err = pool.Exec(t.Context(), `insert into maestro.receipts select 0, 'account', 'x', 'c-' || i, 'committed', 1, 1, 0, null,
		'2090-01-01'::timestamptz + i * interval '1 day' from generate_series(1, 10) i`)
	require.NoError(t, err)
	r := runningWith(t, url, partitions)
	last := func() (at time.Time) {
		require.NoError(t, pool.QueryRow(t.Context(), `select max(recorded_at) from maestro.partitions`).Scan(&at))
		return at
	}
	require.Less(t, time.Until(last()), 2*time.Minute)
	had := map[int]bool{}
	for i := range 40 {
		id := fmt.Sprint(i)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		o, err := r.client.Request(ctx, client.Command{Aggregate: "account", AggregateID: id, Name: "deposit",
			Data: Deposit{Amount: 1}, Deadline: time.Now().Add(time.Hour)})
		cancel()
		require.NoError(t, err)
		require.Equal(t, store.Committed, o.Status)
		had[wire.Partition("account", id, partitions)] = true
	}
	require.Len(t, had, partitions)
	require.Less(t, time.Until(last()), 2*time.Minute)
	var ahead int
	require.NoError(t, pool.QueryRow(t.Context(), `select count(distinct partition) from maestro.events
		where recorded_at > clock_timestamp() + interval '30 seconds'`).Scan(&ahead))
	require.Equal(t, 1, ahead, "the time of one partition is no other's")

	r.stop()
	r.config.ReceiptRetention = time.Millisecond
	r.start()
	require.Eventually(t, func() bool {
		var left int
		require.NoError(t, pool.QueryRow(t.Context(), `select count(*) from maestro.receipts`).Scan(&left))
		return left == 0
	}, time.Minute, 10*time.Millisecond, "all receipts are forgotten, also those of the future")
}
