package localpg

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

func startPair(t *testing.T, o Options, standby StandbyOptions) (primary, second *Server) {
	t.Helper()
	primary, err := Start(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, primary.Stop()) })
	_, err = connect(t, primary.URL()).Exec(t.Context(), "create table kept (n int)")
	require.NoError(t, err)
	second, err = StartStandby(t.Context(), primary, standby)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, second.Stop()) })
	return primary, second
}

func TestAStandbyTakesOverAndTheFormerPrimaryFollows(t *testing.T) {
	t.Parallel()
	primary, standby := startPair(t, Options{Unsafe: true}, StandbyOptions{})
	_, err := connect(t, primary.URL()).Exec(t.Context(), "insert into kept values (1)")
	require.NoError(t, err)
	reader := connect(t, standby.URL())
	require.Eventually(t, func() bool { return query[int](t, reader, "select count(*) from kept") == 1 }, time.Minute, time.Millisecond)
	_, err = reader.Exec(t.Context(), "insert into kept values (2)")
	require.ErrorContains(t, err, "25006")

	require.NoError(t, primary.Halt(Fast))
	require.NoError(t, standby.Promote())
	require.NoError(t, primary.Follow(standby))
	_, err = connect(t, standby.URL()).Exec(t.Context(), "insert into kept values (2)")
	require.NoError(t, err)
	demoted := connect(t, primary.URL())
	require.Equal(t, "on", query[string](t, demoted, "show transaction_read_only"))
	require.Eventually(t, func() bool { return query[int](t, demoted, "select count(*) from kept") == 2 }, time.Minute, time.Millisecond)
}

func TestASynchronousStandbyHoldsUpCommits(t *testing.T) {
	t.Parallel()
	primary, standby := startPair(t, Options{Settings: []string{"fsync=off"}}, StandbyOptions{Synchronous: true})
	writer := connect(t, primary.URL())
	_, err := writer.Exec(t.Context(), "insert into kept values (1)")
	require.NoError(t, err)
	require.Equal(t, 1, query[int](t, connect(t, standby.URL()), "select count(*) from kept where pg_last_wal_receive_lsn() is not null"))

	require.NoError(t, standby.Pause())
	committed := make(chan error, 1)
	go func() {
		_, err := writer.Exec(context.Background(), "insert into kept values (2)")
		committed <- err
	}()
	watcher := connect(t, primary.URL())
	require.Eventually(t, func() bool {
		return query[int](t, watcher, "select count(*) from pg_stat_activity where wait_event = 'SyncRep'") == 1
	}, time.Minute, time.Millisecond)
	require.Empty(t, committed)
	require.NoError(t, standby.Continue())
	require.NoError(t, <-committed)
}

func TestAPausedServerGoesOn(t *testing.T) {
	t.Parallel()
	s, err := Start(t.Context(), Options{Unsafe: true})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Stop()) })
	conn := connect(t, s.URL())
	require.NoError(t, s.Pause())
	answered := make(chan error, 1)
	go func() {
		var n int
		answered <- conn.QueryRow(context.Background(), "select 1").Scan(&n)
	}()
	dialing, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err = pgx.Connect(dialing, s.URL())
	require.Error(t, err)
	require.Empty(t, answered)
	require.NoError(t, s.Continue())
	require.NoError(t, <-answered)
}

func TestStopAfterPause(t *testing.T) {
	t.Parallel()
	s, err := Start(t.Context(), Options{Unsafe: true})
	require.NoError(t, err)
	require.NoError(t, s.Pause())
	require.NoError(t, s.Stop())
	_, err = pgx.Connect(t.Context(), s.URL())
	require.ErrorContains(t, err, "refused")
}

func TestAnUnsafePrimaryHasNoSynchronousStandby(t *testing.T) {
	t.Parallel()
	_, err := StartStandby(t.Context(), &Server{options: Options{Unsafe: true}}, StandbyOptions{Synchronous: true})
	require.ErrorContains(t, err, "does not wait")
}
