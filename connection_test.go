package maestro_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro"
	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/client"
	"github.com/maestro-es/maestro/examples/counter"
	"github.com/maestro-es/maestro/internal/localnats"
	"github.com/maestro-es/maestro/store"
)

// line is a TCP proxy whose connections can go silent: they stay open, but nothing comes through.
type line struct {
	net.Listener
	mu     sync.Mutex
	silent []chan struct{} // one for each connection
	group  sync.WaitGroup
}

func newLine(t *testing.T, target string) *line {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	w := &line{Listener: listener}
	w.group.Go(func() {
		for {
			from, err := listener.Accept()
			if err != nil {
				return
			}
			to, err := net.Dial("tcp", target)
			if err != nil {
				_ = from.Close()
				continue
			}
			silent := make(chan struct{})
			w.mu.Lock()
			w.silent = append(w.silent, silent)
			w.mu.Unlock()
			w.group.Go(func() { pipe(to, from, silent) })
			w.group.Go(func() { pipe(from, to, silent) })
		}
	})
	t.Cleanup(func() { _ = listener.Close(); w.group.Wait() })
	return w
}

// pipe passes bytes on until the connection is silent. From then on it drops them.
func pipe(to, from net.Conn, silent chan struct{}) {
	defer func() { _ = to.Close(); _ = from.Close() }()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		select {
		case <-silent:
			_, _ = io.Copy(io.Discard, from)
			return
		default:
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// hush silences the present connections. New ones work.
func (w *line) hush() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, silent := range w.silent {
		close(silent)
	}
	w.silent = nil
}

// work runs a worker with a log in memory on a connection.
func work(t *testing.T, nc *nats.Conn) (w *maestro.Worker, ended chan error) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	w, err := maestro.New(ctx, maestro.Config{NATS: nc, Store: store.NewMemory(4), Aggregates: []aggregate.Type{counter.Definition},
		Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	ended = make(chan error, 1)
	var group sync.WaitGroup
	group.Go(func() { ended <- w.Run(ctx) })
	t.Cleanup(func() { stop(); group.Wait() })
	require.Eventually(t, func() bool { return w.Ready(ctx) == nil }, 20*time.Second, time.Millisecond)
	return w, ended
}

// A connection that ended without FIN and RST looks healthy. The client's defaults, with which this
// test connects, notice it only after six minutes.
func TestASilentConnectionIsMadeAnew(t *testing.T) {
	t.Parallel()
	server := localnats.ForTest(t)
	wire := newLine(t, strings.TrimPrefix(server.URL(), "nats://"))
	nc, err := nats.Connect("nats://" + wire.Addr().String())
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	w, _ := work(t, nc)
	maestroClient, err := client.New(server.Connect(t), client.Options{})
	require.NoError(t, err)
	request := func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		_, err := maestroClient.Request(ctx, client.Command{Aggregate: "counter", AggregateID: "1", Name: "increment", Data: map[string]int{"by": 1}})
		return err
	}
	require.NoError(t, request())

	wire.hush()
	require.Eventually(t, func() bool { return w.Ready(t.Context()) != nil }, 15*time.Second, 5*time.Millisecond)
	require.NoError(t, request(), "a request works again")
	require.Eventually(t, func() bool { return w.Ready(t.Context()) == nil }, 30*time.Second, 5*time.Millisecond)
	require.NotZero(t, nc.Stats().Reconnects)
}

// The caller of Run must learn that the worker will never work again.
func TestAClosedConnectionEndsTheWorkerWithAnError(t *testing.T) {
	t.Parallel()
	server := localnats.ForTest(t)
	nc := server.Connect(t)
	w, ended := work(t, nc)
	nc.Close()
	select {
	case err := <-ended:
		require.ErrorContains(t, err, "the connection to NATS is closed for good")
	case <-time.After(time.Minute):
		require.Fail(t, "the worker lives on")
	}
	require.Eventually(t, func() bool { return w.Ready(t.Context()) != nil }, 20*time.Second, 5*time.Millisecond)
}
