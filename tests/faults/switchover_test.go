package faults

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// A planned switchover of Postgres under load. For some seconds the service still leads to the
// demoted primary, which can be read but not written.
func TestAPlannedSwitchoverUnderLoad(t *testing.T) {
	t.Parallel()
	const wrong = 5 * time.Second
	w := newWorld(t, shape{brokers: 1, workers: 2, started: 2, partitions: 8, http: true, variation: variation{standby: synchronous}})
	ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
	defer cancel()
	l := startLoad(w, 1)
	require.NoError(t, poll(ctx, func() bool { return w.committed(ctx) > 100 }))
	require.NoError(t, poll(ctx, func() bool { return w.ready(ctx) == 2 }))

	former := w.database.primary
	misled, right := context.WithCancel(ctx)
	defer right()
	switched := make(chan error, 1)
	began := time.Now()
	go func() { switched <- w.database.switchOver(misled, patience) }()
	require.NoError(t, poll(ctx, func() bool { return w.ready(ctx) == 0 }), "no worker is ready")
	demoted, err := connectWhenUp(ctx, former.URL())
	require.NoError(t, err)
	defer func() { _ = demoted.Close(ctx) }()
	for time.Since(began) < wrong {
		require.Zero(t, settled(t, demoted), "nobody stays with a server that takes no writes")
		require.Zero(t, w.ready(ctx))
		pause(ctx, 100*ms)
	}
	var had int64
	require.NoError(t, poll(ctx, func() bool { had = w.committed(ctx); return had > 0 }))
	right()
	pointed := time.Now()
	require.NoError(t, <-switched)
	require.NoError(t, poll(ctx, func() bool { return w.committed(ctx) > had }))
	t.Logf("the first commit came %.2f s after the service led to the new primary, %.2f s after the switchover began",
		time.Since(pointed).Seconds(), time.Since(began).Seconds())
	require.NoError(t, poll(ctx, func() bool { return w.ready(ctx) == 2 }), "all workers are ready")
	require.Zero(t, settled(t, demoted))

	require.NoError(t, w.heal(ctx))
	l.finish()
	e, err := w.rest(ctx, nil)
	require.NoError(t, err)
	require.Empty(t, check(e, l.all(), w.partitions))
}

// committed returns how many events Postgres has.
func (w *world) committed(ctx context.Context) (n int64) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	_ = w.pool.QueryRow(ctx, "select coalesce(sum(position), 0)::bigint from "+w.table("partitions")).Scan(&n) // 0 while it is away
	return n
}

// ready returns how many workers say that they are ready.
func (w *world) ready(ctx context.Context) (n int) {
	for _, v := range w.workers {
		try, cancel := context.WithTimeout(ctx, 5*time.Second)
		request, err := http.NewRequestWithContext(try, http.MethodGet, "http://"+v.http+"/readyz", nil)
		require.NoError(w, err)
		if answer, err := http.DefaultClient.Do(request); err == nil {
			_ = answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				n++
			}
		}
		cancel()
	}
	return n
}

// connectWhenUp connects to a server that is starting.
func connectWhenUp(ctx context.Context, url string) (conn *pgx.Conn, err error) {
	err = poll(ctx, func() bool {
		var failed error
		conn, failed = pgx.Connect(ctx, url)
		return failed == nil
	})
	return conn, err
}

// settled returns how many workers' connections a server has had for longer than workers need to
// notice that it takes no writes.
func settled(t *testing.T, server *pgx.Conn) (n int) {
	t.Helper()
	require.NoError(t, server.QueryRow(t.Context(), `select count(*) from pg_stat_activity
		where starts_with(application_name, 'maestro') and backend_start < clock_timestamp() - interval '3 s'`).Scan(&n))
	return n
}
