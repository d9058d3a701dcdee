package faults

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
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

// world is a namespace with everything that it runs on. Every part can be broken.
type world struct {
	*testing.T
	shape
	namespace wire.Namespace
	dir       string
	brokers   []*broker
	law       law
	database  *database
	workers   []*worker
	nats      *nats.Conn // the harness's own connections are never broken
	js        jetstream.JetStream
	pool      *pgxpool.Pool
	began     time.Time
}

func newWorld(t *testing.T, s shape) *world {
	t.Helper()
	s.calm = cmp.Or(s.calm, patience/3)
	w := &world{T: t, shape: s, namespace: "faults", dir: t.TempDir(), law: law{rules: rules{guarded: s.guarded, password: "secret"}},
		began: time.Now()}
	w.brokers = startBrokers(t, s.brokers, w.law.rules)
	binary := program(t, s.tags())
	w.database = newDatabase(t, s)
	w.nats = w.connect("harness")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, awaitBroker(ctx, w.nats))
	var err error
	w.js, err = jetstream.New(w.nats)
	require.NoError(t, err)
	w.pool = localpg.Pool(t, w.database.forHarness())
	for i := range s.workers {
		w.workers = append(w.workers, w.newWorker(i, binary))
	}
	t.Cleanup(w.shutDown)
	for i := range s.started {
		w.workers[i].start()
	}
	require.NoError(t, w.owned(ctx), "the first workers do not come up")
	return w
}

// patience bounds the time of anything that must happen in a healthy system.
const patience = 90 * time.Second

// connect opens a connection of the harness or of clients that bypasses the proxies.
func (w *world) connect(name string) *nats.Conn {
	w.Helper()
	urls := make([]string, len(w.brokers))
	for i, b := range w.brokers {
		urls[i] = b.url()
	}
	identity := nats.IgnoreAuthErrorAbort()
	if w.guarded {
		identity = nats.UserInfo(otherUser, otherPassword)
	}
	nc, err := nats.Connect(strings.Join(urls, ","), identity, nats.Name(name), nats.MaxReconnects(-1), nats.RetryOnFailedConnect(true),
		nats.ReconnectWait(50*time.Millisecond), nats.ReconnectJitter(0, 0), nats.ReconnectBufSize(-1), nats.Timeout(time.Second),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	require.NoError(w, err)
	w.Cleanup(nc.Close)
	return nc
}

// client returns a client that soon asks again.
func (w *world) client(nc *nats.Conn, resend time.Duration) *client.Client {
	w.Helper()
	c, err := client.New(nc, client.Options{Namespace: string(w.namespace), Resend: resend})
	require.NoError(w, err)
	return c
}

func (w *world) newWorker(i int, binary string) *worker {
	v := &worker{t: w.T, program: binary, name: "w" + strconv.Itoa(i), dir: w.dir}
	var urls []string
	for _, b := range w.brokers {
		p := newProxy(w.T, "127.0.0.1:"+strconv.Itoa(b.port))
		v.nats = append(v.nats, p)
		urls = append(urls, "nats://"+p.address())
	}
	u, enter := w.database.forWorkers()
	v.postgres = newProxy(w.T, enter)
	u.Host = v.postgres.address()
	if w.bounded > 0 {
		v.env = append(v.env, "MAESTRO_EVENTS_MAX_AGE="+w.bounded.String())
	}
	v.env = append(v.env, "NATS_URL="+strings.Join(urls, ","), "DATABASE_URL="+u.String(), "MAESTRO_HTTP=",
		"MAESTRO_NAMESPACE="+string(w.namespace), "MAESTRO_PARTITIONS="+strconv.Itoa(w.partitions),
		"MAESTRO_REPLICAS="+strconv.Itoa(len(w.brokers)))
	if w.clocks {
		v.clock = filepath.Join(w.dir, v.name+".clock")
		v.env = append(v.env, "MAESTRO_CLOCK_OFFSET="+v.clock)
		v.setClock(usualOffset(i))
	}
	if w.guarded {
		v.env = append(v.env, "NATS_USER="+workerUser, "NATS_PASSWORD="+w.law.rules.password)
	}
	if w.http {
		v.http = "127.0.0.1:" + strconv.Itoa(freePort(w.T))
		v.env = append(v.env, "MAESTRO_HTTP="+v.http)
	}
	v.env = append(v.env, w.env...)
	return v
}

// shutDown ends all workers, and shows their output if the test failed.
func (w *world) shutDown() {
	for _, v := range w.workers {
		v.signal(syscall.SIGCONT)
		v.end(syscall.SIGKILL, patience)
		v.restarts.Wait()
	}
	if !w.Failed() {
		return
	}
	kept := filepath.Join(os.TempDir(), fmt.Sprintf("maestro-faults-failed-%d", os.Getpid()), w.Name())
	if err := os.CopyFS(kept, os.DirFS(w.dir)); err == nil {
		w.Logf("the workers' logs are in %s", kept)
	}
}

// heal repairs everything. Then servers run, wires are open, nobody is frozen, and at least two
// workers work.
func (w *world) heal(ctx context.Context) error {
	for _, b := range w.brokers {
		b.signal(syscall.SIGCONT)
		if err := b.start(); err != nil {
			return err
		}
	}
	w.database.heal()
	for i, v := range w.workers {
		v.heal()
		v.signal(syscall.SIGCONT)
		if i < 2 {
			v.start()
		}
	}
	if err := awaitBroker(ctx, w.nats); err != nil {
		return fmt.Errorf("nats-server: %w", err)
	}
	return w.owned(ctx)
}

// owned waits until every partition has a living owner.
func (w *world) owned(ctx context.Context) error {
	var owners map[string]int
	err := poll(ctx, func() bool {
		var err error
		owners, err = w.owners(ctx)
		if err != nil {
			return false
		}
		total := 0
		for _, v := range w.workers {
			node, _ := v.current()
			total += owners[node]
		}
		return total == w.partitions
	})
	if err != nil {
		return fmt.Errorf("some partitions have no living owner, of %v: %w", owners, err)
	}
	return nil
}

// owners returns how many partitions each node owns according to Postgres.
func (w *world) owners(ctx context.Context) (map[string]int, error) {
	rows, err := w.pool.Query(ctx, "select owner, count(*) from "+w.table("partitions")+" group by 1")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	owners := map[string]int{}
	for rows.Next() {
		var node string
		var n int
		if err := rows.Scan(&node, &n); err != nil {
			return nil, err
		}
		owners[node] = n
	}
	return owners, rows.Err()
}

// owner returns the worker that owns a partition, nil if no running worker owns it.
func (w *world) owner(ctx context.Context, partition int) *worker {
	var node string
	if w.pool.QueryRow(ctx, "select owner from "+w.table("partitions")+" where partition = $1", partition).Scan(&node) != nil {
		return nil
	}
	for _, v := range w.workers {
		if name, _ := v.current(); name == node {
			return v
		}
	}
	return nil
}

func (w *world) table(name string) string { return string(w.namespace) + "." + name }

// view returns the name under which readers see a read model.
func (w *world) view(name string) string { return store.ReadSchema(string(w.namespace)) + "." + name }

func (w *world) now() time.Duration { return time.Since(w.began) }
