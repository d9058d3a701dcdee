package tests

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/client"
	"github.com/maestro-es/maestro/internal/localpg"
	"github.com/maestro-es/maestro/internal/wire"
	"github.com/maestro-es/maestro/store"
)

// system is a namespace of its own on some servers, with the connections by which a test looks at
// it.
type system struct {
	*testing.T
	ctx        context.Context //nolint:containedctx // the test's own, with an end
	namespace  wire.Namespace
	partitions int
	natsURL    string
	database   string

	nats *nats.Conn
	js   jetstream.JetStream
	pool *pgxpool.Pool
	*client.Client
}

var namespaces atomic.Int64

// endurance bounds a whole test. A test that waits for an answer that never comes fails at the
// place where it waits.
const endurance = 5 * patience

// Context ends with the test, or when the test stands still.
func (s *system) Context() context.Context { return s.ctx }

// resend is short, so that a test that loses answers need not wait for long.
const resend = time.Second

// newSystem returns an empty namespace on the servers that all tests share.
func newSystem(t *testing.T) *system {
	t.Helper()
	broker, err := sharedBroker()
	require.NoError(t, err)
	return newSystemOn(t, broker, localpg.Shared(t))
}

// newSystemOn returns an empty namespace on servers that the test may break.
func newSystemOn(t *testing.T, broker broker, database string) *system {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context()) // with a deadline, JetStream would wait for lost answers until then
	standsStill := time.AfterFunc(endurance, cancel)
	t.Cleanup(func() { standsStill.Stop(); cancel() })
	s := &system{T: t, ctx: ctx, namespace: wire.Namespace(fmt.Sprintf("test_%d", namespaces.Add(1))), partitions: 8,
		natsURL: broker.URL(), database: database}
	s.nats = broker.Connect(t)
	var err error
	s.js, err = jetstream.New(s.nats)
	require.NoError(t, err)
	s.Client, err = client.New(s.nats, client.Options{Namespace: string(s.namespace), Resend: resend})
	require.NoError(t, err)
	s.pool = localpg.Pool(t, database, func(c *pgxpool.Config) { c.MaxConns = 4 })
	return s
}

// env returns the environment that points a program to the servers.
func (s *system) env() []string {
	return []string{"NATS_URL=" + s.natsURL, "DATABASE_URL=" + s.database, "MAESTRO_NAMESPACE=" + string(s.namespace),
		"MAESTRO_PARTITIONS=" + strconv.Itoa(s.partitions), "MAESTRO_HTTP="}
}

// launch starts a worker process; start also waits until it is at work.
func (s *system) launch(args ...string) *process {
	s.Helper()
	return start(s.T, "worker", s.env(), args, nil)
}

func (s *system) start(args ...string) *process {
	s.Helper()
	w := s.launch(args...)
	if !w.says("msg=ready") {
		s.Fatalf("the worker ended before it was ready:\n%s", w.out.String())
	}
	return w
}

// stop ends a worker in order.
func (s *system) stop(w *process) { s.Helper(); s.ends(w, syscall.SIGTERM) }

func (s *system) ends(w *process, signal os.Signal) {
	s.Helper()
	w.signal(signal)
	status, out := w.finish()
	require.Zero(s, status, out)
}

// worker runs the program with another command to its end.
func (s *system) worker(args ...string) (status int, out string) {
	s.Helper()
	return s.launch(args...).finish()
}

// until polls a condition that gives no signal. done may fail the test.
func (s *system) until(what string, done func() bool) {
	s.Helper()
	tick, late := time.NewTicker(10*time.Millisecond), time.After(patience)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-late:
			require.Fail(s, "waiting for: "+what)
		}
	}
}

// table returns a table's qualified name. query reads one value of the namespace.
func (s *system) table(name string) string { return string(s.namespace) + "." + name }

// view returns the name under which readers see a read model.
func (s *system) view(name string) string { return store.ReadSchema(string(s.namespace)) + "." + name }

func query[T any](s *system, sql string, args ...any) (value T) {
	s.Helper()
	require.NoError(s, s.pool.QueryRow(s.Context(), sql, args...).Scan(&value), sql)
	return value
}

// events is the number of events in the log.
func (s *system) events() int64 { return query[int64](s, "select count(*) from "+s.table("events")) }

// settled waits until the workers have handled everything in the command stream.
func (s *system) settled() {
	s.Helper()
	for p := range s.partitions {
		last := s.lastCommand(p)
		s.until("the commands of partition "+strconv.Itoa(p), func() bool {
			return query[uint64](s, "select command_cursor from "+s.table("partitions")+" where partition = $1", p) >= last
		})
	}
}

// lastCommand returns the stream sequence of a partition's last command, 0 if there is none.
func (s *system) lastCommand(partition int) (sequence uint64) {
	s.Helper()
	s.until("the last command of partition "+strconv.Itoa(partition), func() bool {
		stream, err := s.js.Stream(s.Context(), s.namespace.CommandStream())
		if err != nil {
			return false
		}
		msg, err := stream.GetLastMsgForSubject(s.Context(), s.namespace.CommandsOf(partition))
		if err == nil {
			sequence = msg.Sequence
		}
		return err == nil || errors.Is(err, jetstream.ErrMsgNotFound)
	})
	return sequence
}
