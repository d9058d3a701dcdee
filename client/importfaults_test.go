package client_test

import (
	"context"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/client"
	"github.com/maestro-es/maestro/internal/localnats"
)

// firstOccurrences returns the ids of the stored commands without repetitions. Receipts make
// repetitions harmless.
func firstOccurrences(stored []handled) (ids []string) {
	seen := map[string]bool{}
	for _, h := range stored {
		if !seen[h.id()] {
			seen[h.id()] = true
			ids = append(ids, h.id())
		}
	}
	return ids
}

func TestImportKeepsTheOrderThroughARestartOfTheServer(t *testing.T) {
	t.Parallel()
	s := localnats.ForTest(t)
	w, c := newWorker(t, s, client.Options{Resend: time.Second})
	restarted := make(chan error, 1)
	var once sync.Once
	const n = 30_000
	sum, err := c.Import(t.Context(), increments(n), client.ImportOptions{Progress: func(p client.Progress) {
		if p.Stored >= n/3 {
			once.Do(func() { go func() { restarted <- s.Restart() }() })
		}
	}})
	require.NoError(t, err)
	require.NoError(t, <-restarted)
	require.Equal(t, n, sum.Commands)
	requireInOrder(t, firstOccurrences(w.stored(t)), n)
}

// If the stream takes longer for a batch than the client waits for an answer, the client waits
// longer.
func TestImportIsPatientWithASlowStream(t *testing.T) {
	t.Parallel()
	w, c := newWorker(t, localnats.ForTest(t), client.Options{Resend: 100 * time.Microsecond})
	sum, err := c.Import(t.Context(), increments(1000), client.ImportOptions{})
	require.NoError(t, err)
	require.Equal(t, 1000, sum.Commands)
	requireInOrder(t, firstOccurrences(w.stored(t)), 1000)
}

// The connection breaks in the middle of batches, again and again, and loses the messages under
// way.
func TestImportKeepsTheOrderThroughBrokenConnections(t *testing.T) {
	t.Parallel()
	s := localnats.ForTest(t)
	w, _ := newWorker(t, s, client.Options{})
	w.run(t)
	breaks, address := breakingProxy(t, strings.TrimPrefix(s.URL(), "nats://"))
	nc, err := nats.Connect("nats://"+address, nats.MaxReconnects(-1), nats.ReconnectWait(time.Millisecond), nats.ReconnectJitter(0, 0))
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	c, err := client.New(nc, client.Options{Resend: time.Second})
	require.NoError(t, err)
	const n = 10_000
	sum, err := c.Import(t.Context(), increments(n), client.ImportOptions{Wait: true})
	require.NoError(t, err)
	require.Equal(t, []int{n, n}, []int{sum.Commands, sum.Committed + sum.Duplicate})
	requireInOrder(t, w.handledIDs(), n)
	require.Greater(t, len(breaks), 2)
}

// breakingProxy passes connections on to a server. It breaks each connection after 50 to 800 KB
// from the client, with half of the client's last piece unsent. It reports each break on the
// channel.
func breakingProxy(t *testing.T, server string) (breaks chan int64, address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	breaks = make(chan int64, 1000)
	random := rand.New(rand.NewPCG(1, 2))
	var connections sync.WaitGroup
	connections.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", server)
			if err != nil {
				_ = in.Close()
				continue
			}
			limit := 50_000 + random.Int64N(750_000)
			connections.Go(func() { _, _ = io.Copy(in, out) })
			connections.Go(func() {
				if n, _ := io.CopyN(out, in, limit); n == limit {
					breaks <- n
				}
				_, _ = in.Close(), out.Close()
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		connections.Wait()
	})
	return breaks, l.Addr().String()
}

func TestImportWaitsForRoomInAFullStream(t *testing.T) {
	t.Parallel()
	w, c := newWorker(t, localnats.ForTest(t), client.Options{Resend: time.Second})
	stream, err := w.js.Stream(t.Context(), ns.CommandStream())
	require.NoError(t, err)
	config := stream.CachedInfo().Config
	config.MaxMsgs = 700
	_, err = w.js.UpdateStream(t.Context(), config)
	require.NoError(t, err)
	w.run(t)
	trimmed := make(chan error, 1)
	go func() {
		for seen := 700; ; seen += 700 {
			if w.waitFor(seen) >= 3000 {
				break
			}
			if err := stream.Purge(t.Context(), jetstream.WithPurgeSequence(uint64(seen)+1)); err != nil {
				trimmed <- err
				return
			}
		}
		trimmed <- nil
	}()
	sum, err := c.Import(t.Context(), increments(3000), client.ImportOptions{Wait: true})
	require.NoError(t, err)
	require.Equal(t, 3000, sum.Commands)
	require.NoError(t, <-trimmed)
	requireInOrder(t, w.handledIDs(), 3000)
}

// waitFor waits until the worker has seen the given number of messages or handled all 3000
// commands. It returns how many it has handled.
func (w *worker) waitFor(seen int) (handled int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.seen < seen && len(w.log) < 3000 {
		w.changed.Wait()
	}
	return len(w.log)
}

func TestImportEndsWithTheConnection(t *testing.T) {
	t.Parallel()
	s := localnats.ForTest(t)
	newWorker(t, s, client.Options{})
	nc := s.Connect(t)
	c, err := client.New(nc, client.Options{})
	require.NoError(t, err)
	_, err = c.Import(t.Context(), increments(1<<30), client.ImportOptions{Progress: func(client.Progress) { nc.Close() }})
	require.ErrorIs(t, err, nats.ErrConnectionClosed)
}

func TestImportBoundsTheBytesInFlight(t *testing.T) {
	t.Parallel()
	_, c := newWorker(t, localnats.ForTest(t), client.Options{Resend: time.Second})
	ctx, cancel := context.WithCancel(t.Context())
	large := func(yield func(client.Command, error) bool) {
		for yield(client.Command{Aggregate: "counter", AggregateID: "1", Name: "increment", Data: strings.Repeat("x", 1_000_000)}, nil) {
		}
	}
	sum, err := c.Import(ctx, large, client.ImportOptions{Wait: true, Progress: func(p client.Progress) {
		if p.Resent > 0 || p.Stored > 200 { // it stands still, or has stored too much
			cancel()
		}
	}})
	require.ErrorIs(t, err, context.Canceled)
	require.Less(t, sum.Commands, 80, "64 MiB and a batch")
}
