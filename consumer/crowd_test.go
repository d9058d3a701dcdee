package consumer

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
)

// Killed workers leave consumers behind. These neither stay for long nor keep other workers out.
func TestManyKilledWorkersDoNotKeepTheNextOut(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	require.NoError(t, EnsureStream(t.Context(), b.js, ns, 4, StreamConfig{}))
	stream, err := b.js.Stream(t.Context(), ns.CommandStream())
	require.NoError(t, err)
	for range 1000 { // nats-server's own limit
		_, err := stream.CreateConsumer(t.Context(), jetstream.ConsumerConfig{InactiveThreshold: time.Hour, MemoryStorage: true})
		require.NoError(t, err)
	}
	b.run()
	outcome, err := b.send("1", "put", `{}`).NextMsg(20 * time.Second)
	require.NoError(t, err)
	require.Equal(t, "committed", b.read(outcome).status())

	crowd := 0
	for info := range stream.ListConsumers(t.Context()).Info() {
		if info.Config.InactiveThreshold == time.Hour {
			crowd++
		} else {
			require.LessOrEqual(t, info.Config.InactiveThreshold, time.Minute)
		}
	}
	require.Equal(t, 1000, crowd)
}
