package localnats

import (
	"time"

	"github.com/nats-io/nats.go"
)

// TB is the part of testing.TB that the helpers for tests need. It keeps package testing out of the
// worker.
type TB interface {
	Helper()
	Name() string
	TempDir() string
	Cleanup(f func())
	Fatalf(format string, args ...any)
}

// ForTest starts a server with an empty JetStream. The server is stopped when the test ends.
func ForTest(t TB) *Server {
	t.Helper()
	s, err := Start(Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(s.Stop)
	return s
}

// Connect opens a connection that is closed when the test ends. The connection reconnects at once
// and without limit, so that tests may stop and restart the server.
func (s *Server) Connect(t TB, options ...nats.Option) *nats.Conn {
	t.Helper()
	defaults := []nats.Option{nats.Name(t.Name()), nats.MaxReconnects(-1), nats.ReconnectWait(10 * time.Millisecond),
		nats.ReconnectJitter(0, 0)}
	nc, err := nats.Connect(s.URL(), append(defaults, options...)...)
	if err != nil {
		t.Fatalf("connect to %s: %v", s.URL(), err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// Header makes the headers of a message from names and values in turn.
func Header(pairs ...string) nats.Header {
	h := nats.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h[pairs[i]] = []string{pairs[i+1]}
	}
	return h
}
