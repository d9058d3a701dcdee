package stream

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/internal/localnats"
)

// A relay stands before JetStream and loses the first requests, as busy servers do.
func TestEnsureWaitsForJetStream(t *testing.T) {
	nc := localnats.ForTest(t).Connect(t)
	var asked atomic.Int32
	relay, err := nc.Subscribe("busy.>", func(m *nats.Msg) {
		if asked.Add(1) <= 3 {
			return
		}
		_ = nc.PublishMsg(&nats.Msg{Subject: "$JS.API." + strings.TrimPrefix(m.Subject, "busy."), Reply: m.Reply, Data: m.Data})
	})
	require.NoError(t, err)
	defer func() { _ = relay.Unsubscribe() }()
	js, err := jetstream.NewWithAPIPrefix(nc, "busy", jetstream.WithDefaultTimeout(100*time.Millisecond))
	require.NoError(t, err)

	made, err := Ensure(t.Context(), js, jetstream.StreamConfig{Name: "S", Subjects: []string{"s.>"}}, Limits{})

	require.NoError(t, err)
	require.Equal(t, "S", made.CachedInfo().Config.Name)
	require.Greater(t, asked.Load(), int32(3))
}

func TestEnsureSaysAtOnceWhatNoWaitingMends(t *testing.T) {
	js, err := jetstream.New(localnats.ForTest(t).Connect(t))
	require.NoError(t, err)
	_, err = Ensure(t.Context(), js, jetstream.StreamConfig{Name: "A", Subjects: []string{"s.>"}}, Limits{})
	require.NoError(t, err)

	_, err = Ensure(t.Context(), js, jetstream.StreamConfig{Name: "B", Subjects: []string{"s.>"}}, Limits{})

	require.ErrorContains(t, err, "overlap")
}
