package eventstream_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/eventstream"
)

// cluster is three nats-servers that hold replicated streams.
type cluster []*server.Server

// limits are small, so that a test reaches them soon.
var limits = server.JSLimitOpts{MaxBatchSize: 300, MaxBatchInflightPerStream: 3, MaxBatchTimeout: time.Second}

func startCluster(t testing.TB, limits server.JSLimitOpts) cluster {
	t.Helper()
	var ports []int
	var routes string
	for range 3 {
		ports = append(ports, freePort(t))
		routes += fmt.Sprintf("nats://127.0.0.1:%d,", ports[len(ports)-1])
	}
	var c cluster
	for i, port := range ports {
		s, err := server.NewServer(&server.Options{ServerName: fmt.Sprint("n", i), Host: "127.0.0.1", Port: server.RANDOM_PORT,
			JetStream: true, StoreDir: t.TempDir(), JetStreamLimits: limits, NoSigs: true, NoLog: true, DisableJetStreamBanner: true,
			Cluster: server.ClusterOpts{Name: "c", Host: "127.0.0.1", Port: port}, Routes: server.RoutesFromStr(routes[:len(routes)-1])})
		require.NoError(t, err)
		s.Start()
		t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
		c = append(c, s)
	}
	for _, s := range c {
		require.True(t, s.ReadyForConnections(time.Minute))
	}
	return c
}

// freePort finds a free port below those that systems use for outgoing connections.
func freePort(t testing.TB) int {
	t.Helper()
	for range 100 {
		port := 10_000 + rand.IntN(22_000)
		if l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port)); err == nil {
			require.NoError(t, l.Close())
			return port
		}
	}
	t.Fatal("no free port on 127.0.0.1")
	return 0
}

// connect connects to the first server, or to url in its place.
func (c cluster) connect(t testing.TB, url string) *nats.Conn {
	t.Helper()
	if url == "" {
		url = c[0].ClientURL()
	}
	nc, err := nats.Connect(url, nats.IgnoreDiscoveredServers(), nats.MaxReconnects(-1), nats.ReconnectWait(10*time.Millisecond))
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	return nc
}

// rig returns a rig with a new stream of three replicas, which forgets message ids at once.
func (c cluster) rig(t *testing.T) *rig {
	t.Helper()
	r := rigOn(t, func() *nats.Conn { return c.connect(t, "") })
	r.config = eventstream.StreamConfig{Replicas: len(c)}
	require.Eventually(t, func() bool { // the servers have to find each other first
		_ = r.js.DeleteStream(t.Context(), ns.EventStream())
		stream, err := eventstream.Ensure(t.Context(), r.js, ns, r.config)
		if err != nil {
			return false
		}
		config := stream.CachedInfo().Config
		config.Duplicates = 100 * time.Millisecond
		_, err = r.js.UpdateStream(t.Context(), config)
		return err == nil
	}, time.Minute, 50*time.Millisecond)
	return r
}

// forget waits until the stream has forgotten the ids of its messages.
func (r *rig) forget() {
	r.Helper()
	id := jetstream.WithMsgID(nats.NewInbox())
	_, err := r.js.Publish(r.Context(), ns.Fence(1), nil, id)
	require.NoError(r, err)
	require.Eventually(r, func() bool {
		ack, err := r.js.Publish(r.Context(), ns.Fence(1), nil, id)
		return err == nil && !ack.Duplicate
	}, time.Minute, 10*time.Millisecond)
}

// link is the way to the first server. It takes one connection. After a number of events it holds
// the rest back until it is released, like a network that loses packets.
type link struct {
	listener net.Listener
	most     int
	held     chan struct{} // closed when link holds something back
	released chan struct{}
	release  func()
}

func (c cluster) link(t *testing.T, most int) *link {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	w := &link{listener: listener, most: most, held: make(chan struct{}), released: make(chan struct{})}
	w.release = sync.OnceFunc(func() { close(w.released) })
	var serving sync.WaitGroup
	serving.Go(func() { w.serve(c[0].Addr().String()) })
	t.Cleanup(func() { _ = listener.Close(); w.release(); serving.Wait() })
	return w
}

func (w *link) url() string { return "nats://" + w.listener.Addr().String() }

func (w *link) serve(target string) {
	client, err := w.listener.Accept()
	if err != nil {
		return
	}
	defer func() { _ = client.Close() }()
	server, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	var answers sync.WaitGroup
	answers.Go(func() { _, _ = io.Copy(client, server) })
	w.forward(server, client)
	_ = server.Close()
	answers.Wait()
}

// forward passes on the client's bytes.
func (w *link) forward(to io.Writer, from io.Reader) {
	var seen []byte
	buffer, held := make([]byte, 64<<10), false
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		passed := len(seen)
		if seen = append(seen, buffer[:n]...); !held && bytes.Count(seen, event) > w.most {
			next := max(w.end(seen), passed)
			if _, err := to.Write(seen[passed:next]); err != nil {
				return
			}
			close(w.held)
			<-w.released
			passed, held = next, true
		}
		if _, err := to.Write(seen[passed:]); err != nil {
			return
		}
	}
}

// event is how an event begins on the wire.
var event = []byte("HPUB maestro.evt.0.")

// end returns where the last event ends that may pass.
func (w *link) end(seen []byte) (at int) {
	for range w.most {
		at += bytes.Index(seen[at:], event) + 1
	}
	return at + bytes.Index(seen[at:], event)
}
