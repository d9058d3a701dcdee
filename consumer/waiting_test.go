package consumer

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/internal/membership"
	"github.com/maestro-es/maestro/store"
)

// held is a store from which nothing can be acquired until it is released.
type held struct {
	*store.Memory
	released chan struct{}
}

func (s held) Acquire(ctx context.Context, partition int, owner string) (store.Partition, error) {
	<-s.released
	return s.Memory.Acquire(ctx, partition, owner)
}

// Requests that wait for an owner are routed when there is an owner, and not at every review.
func TestWaitingRequestsAreRoutedAFewTimes(t *testing.T) {
	t.Parallel()
	const many = 1000
	b := newBroker(t)
	s := held{store.NewMemory(4), make(chan struct{})}
	c := b.newConsumer(s, s, func(c *Config) { c.Lane.MaxBatch = many / 2 }) // so that all fit into the queues
	b.join(c)
	answers, err := b.nc.SubscribeSync(b.nc.NewInbox())
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		_, err := b.nc.Request(ns.Get("box", "1")+".unknown", nil, time.Second)
		return err == nil
	}, 20*time.Second, time.Millisecond, "it takes requests")
	for i := range many {
		require.NoError(t, b.nc.PublishMsg(&nats.Msg{Subject: ns.Do("box", fmt.Sprint(i), "put"), Data: []byte(put(1)), Reply: answers.Subject}))
	}
	require.Eventually(t, func() bool { return c.api.Waiting() == many }, 20*time.Second, time.Millisecond)
	for i := range 20 { // others come and go meanwhile, and each time the view changes
		beat, err := json.Marshal(membership.Member{ID: "other", State: membership.Unable, Owned: map[int]int64{100 + i: 1}})
		require.NoError(t, err)
		before := time.Now()
		require.NoError(t, b.nc.Publish(c.Namespace.Beat(), beat))
		require.Eventually(t, func() bool { return time.Since(before) > handOnEvery }, time.Second, time.Millisecond)
	}
	close(s.released)
	for range many {
		m, err := answers.NextMsg(20 * time.Second)
		require.NoError(t, err)
		require.Equal(t, "committed", b.read(m).status())
	}
	require.LessOrEqual(t, c.api.Rerouted(), int64(4*many))
	t.Logf("%d routings of %d requests", c.api.Rerouted(), many)
}
