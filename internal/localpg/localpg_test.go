package localpg

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func query[T any](t *testing.T, conn *pgx.Conn, sql string) (v T) {
	t.Helper()
	require.NoError(t, conn.QueryRow(t.Context(), sql).Scan(&v), sql)
	return v
}

func TestAClusterIsDurableAndLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	s, err := Start(t.Context(), Options{})
	require.NoError(t, err)
	conn := connect(t, s.URL())
	require.Equal(t, "on", query[string](t, conn, "show fsync"))
	require.Equal(t, "200", query[string](t, conn, "show max_connections"))
	require.Empty(t, query[string](t, conn, "show unix_socket_directories"))

	require.NoError(t, s.Stop())
	require.NoError(t, s.Stop(), "a second stop does nothing")
	require.Error(t, conn.Ping(t.Context()))
	require.NoDirExists(t, s.dir)
}

func TestDataAndSettingsOutliveARestart(t *testing.T) {
	t.Parallel()
	s, err := Start(t.Context(), Options{Settings: []string{"work_mem=5MB", "min_wal_size=96MB"}})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Stop()) }()
	_, err = connect(t, s.URL()).Exec(t.Context(), "create table kept as select 1 as n")
	require.NoError(t, err)
	for _, mode := range []Mode{Fast, Immediate} {
		require.NoError(t, s.Restart(mode))
		conn := connect(t, s.URL())
		require.Equal(t, 1, query[int](t, conn, "select n from kept"))
		require.Equal(t, "5MB", query[string](t, conn, "show work_mem"))
		require.Equal(t, "96MB", query[string](t, conn, "show min_wal_size"))
	}
	require.NoError(t, s.Halt(Fast))
	_, err = pgx.Connect(t.Context(), s.URL())
	require.Error(t, err)
	require.NoError(t, s.Resume())
	require.Equal(t, 1, query[int](t, connect(t, s.URL()), "select n from kept"))
}

func TestStopAfterHalt(t *testing.T) {
	t.Parallel()
	s, err := Start(t.Context(), Options{Unsafe: true})
	require.NoError(t, err)
	require.NoError(t, s.Halt(Immediate))
	require.NoError(t, s.Stop())
	require.NoDirExists(t, s.dir)
}

// The test runs itself as another process, which starts a cluster and is killed.
func TestAKilledProcessLeavesNothingBehind(t *testing.T) {
	if os.Getenv("LOCALPG_CHILD") != "" {
		s, err := Start(t.Context(), Options{Unsafe: true})
		require.NoError(t, err)
		fmt.Println(s.URL(), s.dir)
		select {}
	}
	t.Parallel()
	child := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	child.Env = append(os.Environ(), "LOCALPG_CHILD=1")
	out, err := child.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	url, dir, _ := strings.Cut(strings.TrimSpace(line), " ")
	require.DirExists(t, dir)
	conn := connect(t, url)

	require.NoError(t, child.Process.Kill())
	require.Error(t, child.Wait())
	_, err = conn.WaitForNotification(t.Context()) // returns when the server is gone
	require.Error(t, err)
	require.Eventually(t, func() bool {
		_, err := os.Stat(dir)
		return os.IsNotExist(err)
	}, time.Minute, 10*time.Millisecond)
}

func TestACancelledStartLeavesNothingBehind(t *testing.T) {
	temporary := t.TempDir()
	require.NoError(t, os.Chmod(filepath.Dir(temporary), 0o755)) // for the user that runs Postgres in place of root
	t.Setenv("TMPDIR", temporary)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Start(ctx, Options{})
	require.ErrorIs(t, err, context.Canceled)
	require.EqualError(t, err, "start a local Postgres: context canceled", "the keeper ended in order")
	left, err := os.ReadDir(temporary)
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestMissingBinariesAreAClearError(t *testing.T) {
	t.Parallel()
	_, err := Start(t.Context(), Options{BinDir: t.TempDir()})
	require.ErrorContains(t, err, "initdb")
}

func TestEachTestHasItsOwnDatabase(t *testing.T) {
	t.Parallel()
	var first string
	t.Run("one", func(t *testing.T) {
		first = Database(t)
		other := Database(t)
		require.NotEqual(t, first, other)
		name := query[string](t, connect(t, first), "select current_database()")
		require.Equal(t, "test_", name[:5])
	})
	_, err := pgx.Connect(t.Context(), first)
	require.ErrorContains(t, err, "does not exist", "dropped after its test, open connections or not")
	require.Equal(t, "off", query[string](t, connect(t, Shared(t)), "show fsync"))
}

// A cluster with a directory of its own is there again at the next start. No other process may run
// on the directory meanwhile.
func TestADirectoryIsKept(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(openDir(t), "postgres")
	for run := range 2 {
		s, err := Start(t.Context(), Options{Dir: dir})
		require.NoError(t, err)
		t.Cleanup(func() { _ = s.Stop() })
		_, err = Start(t.Context(), Options{Dir: dir})
		require.ErrorContains(t, err, "runs on the data in "+dir)
		conn, err := pgx.Connect(t.Context(), s.URL())
		require.NoError(t, err)
		_, err = conn.Exec(t.Context(), "create table if not exists kept (n int)")
		require.NoError(t, err)
		var rows int
		require.NoError(t, conn.QueryRow(t.Context(), "with _ as (insert into kept values (1)) select count(*) from kept").Scan(&rows))
		require.Equal(t, run, rows)
		require.NoError(t, conn.Close(t.Context()))
		require.NoError(t, s.Stop())
	}
}

// Data of an initdb that was interrupted are made anew.
func TestHalfMadeDataAreMadeAnew(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(openDir(t), "postgres")
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "data"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "data", "PG_VERSION"), []byte("15\n"), 0o600))
	s, err := Start(t.Context(), Options{Dir: dir})
	require.NoError(t, err)
	require.NoError(t, s.Stop())
}

// openDir returns a temporary directory that the server's user can enter. The directories of
// package testing cannot be entered by that user.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "maestro-test-") //nolint:usetesting // whose folders that user cannot enter
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	require.NoError(t, os.Chmod(dir, 0o755))
	return dir
}

func TestAClockIsMovedWhileTheServerRuns(t *testing.T) {
	t.Parallel()
	s, err := Start(t.Context(), Options{Unsafe: true, Clock: true})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Stop()) }()
	conn := connect(t, s.URL())
	for _, by := range []time.Duration{0, time.Hour, -36 * time.Hour, 30 * 8766 * time.Hour, 0} {
		require.NoError(t, s.SetClock(by))
		now := query[time.Time](t, conn, "select clock_timestamp()")
		require.WithinDuration(t, time.Now().Add(by), now, 10*time.Second)
	}
	require.NoError(t, s.SetClock(time.Hour))
	require.NoError(t, s.Restart(Immediate))
	require.WithinDuration(t, time.Now().Add(time.Hour), query[time.Time](t, connect(t, s.URL()), "select now()"), 10*time.Second)

	usual, err := Start(t.Context(), Options{Unsafe: true})
	require.NoError(t, err)
	defer func() { require.NoError(t, usual.Stop()) }()
	require.Error(t, usual.SetClock(time.Hour))
}
