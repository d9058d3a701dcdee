package maestro_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/client"
	"github.com/maestro-es/maestro/internal/localpg"
)

// readyz asks the worker's probe, as an orchestrator does.
func (r *running) readyz() (status int, body string) {
	answer := httptest.NewRecorder()
	r.worker.Handler().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/readyz", nil))
	return answer.Code, answer.Body.String()
}

// unreadyDuring makes trouble while commands come, and then undoes it. It requires that the probe
// reports the trouble, and later its end.
func (r *running) unreadyDuring(trouble, relief func(), why string) {
	r.Helper()
	status, body := r.readyz()
	require.Equal(r, http.StatusOK, status, body)
	ctx, stop := context.WithCancel(r.Context())
	loaded := make(chan struct{})
	go func() {
		defer close(loaded)
		for ctx.Err() == nil {
			try, cancel := context.WithTimeout(ctx, time.Second)
			_, _ = r.client.Request(try, client.Command{Aggregate: "account", AggregateID: "a", Name: "deposit", Data: Deposit{Amount: 1}})
			cancel()
		}
	}()
	trouble()
	require.Eventually(r, func() bool {
		status, body = r.readyz()
		return status == http.StatusServiceUnavailable
	}, 30*time.Second, 50*time.Millisecond)
	require.Regexp(r, why, body)
	relief()
	require.Eventually(r, func() bool {
		status, _ = r.readyz()
		return status == http.StatusOK
	}, 60*time.Second, 50*time.Millisecond)
	stop()
	<-loaded
	require.NotZero(r, r.deposit("b", 1).Sequence)
}

func TestReadyzTellsThatNothingCanBeCommitted(t *testing.T) {
	t.Parallel()
	t.Run("Postgres is stopped", func(t *testing.T) {
		t.Parallel()
		server, err := localpg.Start(t.Context(), localpg.Options{Unsafe: true})
		require.NoError(t, err)
		t.Cleanup(func() { _ = server.Stop() })
		r := runningOn(t, server.URL())
		r.unreadyDuring(func() { require.NoError(t, server.Halt(localpg.Fast)) }, func() { require.NoError(t, server.Resume()) }, "Postgres")
	})
	t.Run("Postgres is read-only", func(t *testing.T) {
		t.Parallel()
		r := newRunning(t)
		set := func(value string) {
			r.exec("begin read write; do $$ begin execute format('alter database %I set default_transaction_read_only = " + value +
				"', current_database()); end $$; select pg_terminate_backend(pid) from pg_stat_activity " +
				"where datname = current_database() and pid <> pg_backend_pid(); commit")
		}
		r.unreadyDuring(func() { set("on") }, func() { set("off") }, "read-only|takes no writes")
	})
	t.Run("a table is locked", func(t *testing.T) {
		t.Parallel()
		r := newRunning(t)
		lock, err := pgx.Connect(t.Context(), r.pool.Config().ConnString())
		require.NoError(t, err)
		defer func() { _ = lock.Close(context.Background()) }()
		run := func(sql string) {
			_, err := lock.Exec(t.Context(), sql)
			require.NoError(t, err)
		}
		r.unreadyDuring(func() { run("begin; lock table maestro.log") }, func() { run("rollback") }, "nothing is committed|nothing could be committed")
	})
}

func (r *running) exec(sql string) {
	r.Helper()
	conn, err := pgx.Connect(r.Context(), r.pool.Config().ConnString())
	require.NoError(r, err)
	defer func() { _ = conn.Close(context.Background()) }()
	_, err = conn.Exec(r.Context(), sql)
	require.NoError(r, err)
}

// mute dials connections that receive nothing from the server while it is on.
type mute struct{ on atomic.Bool }

// Dial implements nats.CustomDialer.
func (m *mute) Dial(network, address string) (net.Conn, error) {
	conn, err := net.Dial(network, address)
	return &muted{conn, m}, err
}

type muted struct {
	net.Conn
	mute *mute
}

func (m *muted) Read(p []byte) (int, error) {
	for {
		n, err := m.Conn.Read(p)
		if err != nil || !m.mute.on.Load() {
			return n, err
		}
	}
}

func TestReadyzTellsThatNothingCanBePublished(t *testing.T) {
	t.Parallel()
	t.Run("NATS is silent", func(t *testing.T) {
		t.Parallel()
		var m mute
		r := runningOn(t, localpg.Database(t), nats.SetCustomDialer(&m), nats.MaxReconnects(-1))
		r.unreadyDuring(func() { m.on.Store(true) }, func() { m.on.Store(false) }, "NATS")
	})
	t.Run("the event stream refuses", func(t *testing.T) {
		t.Parallel()
		r := newRunning(t)
		limit := func(bytes int64, discard jetstream.DiscardPolicy) {
			stream, err := r.js.Stream(t.Context(), "MAESTRO_EVENTS")
			require.NoError(t, err)
			config := stream.CachedInfo().Config
			config.MaxBytes, config.Discard = bytes, discard
			_, err = r.js.UpdateStream(t.Context(), config)
			require.NoError(t, err)
		}
		r.deposit("a", 1)
		r.unreadyDuring(func() { limit(1, jetstream.DiscardNew) }, func() { limit(-1, jetstream.DiscardOld) }, "nothing is published.*maximum bytes")
	})
}
