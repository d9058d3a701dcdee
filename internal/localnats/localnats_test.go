package localnats_test

import (
	"bytes"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/maestro-es/maestro/internal/localnats"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestRestartKeepsPortAndStreams(t *testing.T) {
	t.Parallel()
	s := localnats.ForTest(t)
	url := s.URL()
	reconnected := make(chan struct{}, 1)
	nc := s.Connect(t, nats.ReconnectHandler(func(*nats.Conn) { reconnected <- struct{}{} }))
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	_, err = js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "KEPT", Subjects: []string{"kept"}})
	require.NoError(t, err)
	_, err = js.Publish(t.Context(), "kept", []byte("still here"))
	require.NoError(t, err)

	require.NoError(t, s.Restart())

	require.Equal(t, url, s.URL())
	<-reconnected
	stream, err := js.Stream(t.Context(), "KEPT")
	require.NoError(t, err)
	m, err := stream.GetMsg(t.Context(), 1)
	require.NoError(t, err)
	require.Equal(t, "still here", string(m.Data))
}

func TestDisconnectClosesAllConnections(t *testing.T) {
	t.Parallel()
	s := localnats.ForTest(t)
	reconnected := make(chan struct{}, 2)
	for range 2 {
		s.Connect(t, nats.ReconnectHandler(func(*nats.Conn) { reconnected <- struct{}{} }))
	}
	require.NoError(t, s.Disconnect())
	<-reconnected
	<-reconnected
	s.Stop()
	require.NoError(t, s.Disconnect(), "nobody is connected to a stopped server")
}

func TestStopFreesThePort(t *testing.T) {
	t.Parallel()
	s := localnats.ForTest(t)
	s.Stop()
	s.Stop()
	address := strings.TrimPrefix(s.URL(), "nats://")
	l, err := net.Listen("tcp", address)
	require.NoError(t, err)
	require.ErrorContains(t, s.Restart(), address, "the port is taken, and the error must say which")
	require.NoError(t, l.Close())
	require.NoError(t, s.Restart())
	require.NoError(t, s.Connect(t).Flush())
}

func TestStartRefusesWhatCannotRun(t *testing.T) {
	t.Parallel()
	_, err := localnats.Start(localnats.Options{})
	require.ErrorContains(t, err, "Options.Dir")
	_, err = localnats.Start(localnats.Options{Dir: "/dev/null/streams"})
	require.ErrorContains(t, err, "/dev/null/streams")
	_, err = localnats.Start(localnats.Options{Dir: t.TempDir(), Host: "203.0.113.1"})
	require.ErrorContains(t, err, "203.0.113.1")
}

func TestOptionsReachTheServer(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	s, err := localnats.Start(localnats.Options{Dir: t.TempDir(), MaxPayload: 4096,
		Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	require.NoError(t, err)
	nc := s.Connect(t)
	require.EqualValues(t, 4096, nc.MaxPayload())
	require.NoError(t, nc.FlushTimeout(10*time.Second))
	nc.Close()
	s.Stop()
	require.Contains(t, log.String(), `msg=nats-server says="Server is ready"`)
}
