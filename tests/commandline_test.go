package tests

import (
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/internal/localpg"
)

// A user who starts the worker wrongly is told what to do, and no password is shown.
func TestWrongStartsSayWhatToDo(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = taken.Close() })
	const nobody = "127.0.0.1:1"
	for name, c := range map[string]struct {
		args   []string
		status int
		says   []string
	}{
		"unknown flag":      {[]string{"--explode"}, 2, []string{"unknown flag --explode", "Try: worker --help"}},
		"unknown command":   {[]string{"explode"}, 2, []string{"unexpected argument explode", "Try: worker --help"}},
		"no number":         {[]string{"--partitions", "many"}, 2, []string{"--partitions", `"many"`}},
		"no NATS":           {[]string{"--nats-url", "nats://me:secret@" + nobody}, 1, []string{"connect to NATS at " + nobody, "or give --nats-url (NATS_URL)"}},
		"no Postgres":       {[]string{"--database-url", "postgres://me:secret@" + nobody + "/db"}, 1, []string{"connect to Postgres", nobody, "is it running, and is --database-url right"}},
		"no database given": {[]string{"--database-url", ""}, 1, []string{"no database: set --database-url or DATABASE_URL to a Postgres, or try --dev"}},
		"no database URL":   {[]string{"--database-url", "postgres://me:secret@:x/"}, 1, []string{"--database-url", "expected postgres://user:password@host:5432/name"}},
		"bad namespace":     {[]string{"--namespace", "Orders"}, 1, []string{`namespace "Orders": expected a lower-case letter`}},
		"no partitions":     {[]string{"--partitions=-1"}, 1, []string{"Partitions is -1: expected 1 to 1024"}},
		"port taken":        {[]string{"--http", taken.Addr().String()}, 1, []string{"--http: ", "address already in use", "choose another address, or --http= for none"}},
		"two NATS":          {[]string{"--dev"}, 1, []string{"--dev brings its own NATS: leave --nats-url (NATS_URL) out"}},
		"migrate memory":    {[]string{"migrate", "--database-url", "memory:"}, 1, []string{"the in-memory store has nothing to migrate"}},
		"republish memory":  {[]string{"republish", "--database-url", "memory:"}, 1, []string{"there is nothing to republish from"}},
		"migrate nowhere":   {[]string{"migrate", "--database-url", ""}, 1, []string{"no database"}},
	} {
		t.Run(name, func(t *testing.T) {
			status, out := s.with(t).worker(c.args...)
			require.Equal(t, c.status, status, out)
			for _, words := range c.says {
				require.Contains(t, out, words)
			}
			require.NotContains(t, out, "secret")
			require.Less(t, strings.Count(out, "\n"), 5, "an error, not a page")
		})
	}
}

// The output of `worker migrate --print` makes a schema that the worker takes as its own.
func TestPrintedMigrationsMakeTheSchema(t *testing.T) {
	t.Parallel()
	for name, flags := range map[string][]string{"plain": nil, "event partitions": {"--event-partitions", "4"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSystem(t)
			p := s.launch(append([]string{"migrate", "--print"}, flags...)...)
			require.Zero(t, p.status(), p.out.String())
			conn, err := s.pool.Acquire(s.Context())
			require.NoError(t, err)
			// Like a script from psql: text without parameters.
			require.NoError(t, conn.Conn().PgConn().Exec(s.Context(), p.stdout.String()).Close())
			conn.Release()

			status, out := s.worker("migrate")
			require.Zero(t, status, out)
			require.Contains(t, out, `schema "`+string(s.namespace)+`" is up to date, with 8 partitions and 2 read models`)
			s.start()
			s.importing(s.workload(random(t), 500, 40)).finish()
		})
	}
}

// The probes say whether the worker lives, and whether it is working.
func TestProbes(t *testing.T) {
	t.Parallel()
	broker, err := sharedBroker()
	require.NoError(t, err)
	postgres, err := localpg.Start(t.Context(), localpg.Options{Unsafe: true})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, postgres.Stop()) })
	s := newSystemOn(t, broker, postgres.URL())
	w := s.start("--http", "127.0.0.1:0")
	console := regexp.MustCompile(`url=(\S+)`).FindStringSubmatch(w.out.String())[1]
	status := func(path string) int {
		response, err := http.Get(console + path)
		require.NoError(t, err)
		defer func() { _ = response.Body.Close() }()
		return response.StatusCode
	}
	for _, path := range []string{"/", "/healthz", "/readyz", "/metrics"} {
		require.Equal(t, http.StatusOK, status(path), path)
	}
	require.Equal(t, http.StatusNotFound, status("/nothing"))
	require.NoError(t, postgres.Halt(localpg.Fast))
	s.until("the probe", func() bool { return status("/readyz") == http.StatusServiceUnavailable })
	require.Equal(t, http.StatusOK, status("/healthz"))
	require.NoError(t, postgres.Resume())
	s.until("the worker", func() bool { return status("/readyz") == http.StatusOK })
	s.stop(w)
}

// `worker --dev` brings its own servers, and leaves nothing behind.
func TestDevBringsItsServers(t *testing.T) {
	t.Parallel()
	folder := openFolder(t)
	w := start(t, "worker", []string{"TMPDIR=" + folder}, []string{"--dev", "--http="}, nil)
	nc := w.connect(t)
	answer, err := nc.Request("maestro.do.counter.42.increment", []byte(`{"by":2}`), patience)
	require.NoError(t, err)
	require.Contains(t, string(answer.Data), `"status":"committed"`)
	answer, err = nc.Request("maestro.get.counter.42", nil, patience)
	require.NoError(t, err)
	require.Contains(t, string(answer.Data), `"state":{"value":2}`)
	database := regexp.MustCompile(`Postgres of its own" url="?([^"\s]+)`).FindStringSubmatch(w.out.String())
	require.NotNil(t, database, w.out.String())
	var events int
	pool := localpg.Pool(t, database[1])
	require.NoError(t, pool.QueryRow(t.Context(), "select count(*) from maestro.log").Scan(&events))
	require.Equal(t, 1, events)
	pool.Close()
	w.signal(os.Interrupt)
	status, out := w.finish()
	require.Zero(t, status, out)
	left, err := os.ReadDir(folder)
	require.NoError(t, err)
	require.Empty(t, left)
}

// With a folder, the servers keep their data. A database that the user gives keeps its own data.
func TestDevKeepsWhatItIsGivenAPlaceFor(t *testing.T) {
	t.Parallel()
	t.Run("its own Postgres", func(t *testing.T) {
		t.Parallel()
		keepsTwice(t, openFolder(t))
	})
	t.Run("a given database", func(t *testing.T) {
		t.Parallel()
		folder := t.TempDir()
		keepsTwice(t, folder, "--database-url", localpg.Database(t))
		require.NoDirExists(t, filepath.Join(folder, "postgres"))
	})
}

// openFolder returns a temporary folder that the user who runs Postgres in place of root can enter.
func openFolder(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "maestro-test-") //nolint:usetesting // whose folders that user cannot enter
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	require.NoError(t, os.Chmod(folder, 0o755))
	return folder
}

// keepsTwice runs a worker twice with the same folder.
func keepsTwice(t *testing.T, folder string, more ...string) {
	t.Helper()
	args := append([]string{"--dev", "--http=", "--data-dir", folder, "--partitions", "4"}, more...)
	for run := range 2 {
		w := start(t, "worker", nil, args, nil)
		nc := w.connect(t)
		js, err := jetstream.New(nc)
		require.NoError(t, err)
		stream, err := js.Stream(t.Context(), "MAESTRO_EVENTS")
		require.NoError(t, err)
		before := stream.CachedInfo().State.LastSeq
		require.Equal(t, run > 0, before > 4, "events of the run before and four fences")
		for _, want := range []string{`"sequence":1`, `"duplicate":true`} {
			m := &nats.Msg{Subject: "maestro.do.counter.42.increment", Header: nats.Header{"Maestro-Command-Id": {"once"}}}
			answer, err := nc.RequestMsg(m, patience)
			require.NoError(t, err)
			require.Contains(t, string(answer.Data), `"sequence":1`)
			if run > 0 {
				want = `"duplicate":true`
			}
			require.Contains(t, string(answer.Data), want)
		}
		w.signal(os.Interrupt)
		status, out := w.finish()
		require.Zero(t, status, out)
	}
}

// connect connects to the server inside a worker process.
func (p *process) connect(t *testing.T) *nats.Conn {
	t.Helper()
	require.True(t, p.says("msg=ready"), p.out.String())
	url := regexp.MustCompile(`msg=ready nats=(\S+)`).FindStringSubmatch(p.out.String())[1]
	nc, err := nats.Connect(url)
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	return nc
}

// A signal also ends a worker while it waits for a database that does not answer.
func TestASignalEndsAWorkerThatIsStarting(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	silent, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and says nothing
	require.NoError(t, err)
	t.Cleanup(func() { _ = silent.Close() })
	w := s.launch("--database-url", "postgres://me@"+silent.Addr().String()+"/db")
	conn, err := silent.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	w.signal(os.Interrupt)
	status, out := w.finish()
	require.Zero(t, status, out)
	require.NotContains(t, out, context.Canceled.Error())
}
