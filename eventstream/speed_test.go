package eventstream_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/eventstream"
	"github.com/maestro-es/maestro/internal/localnats"
	"github.com/maestro-es/maestro/store"
)

// BenchmarkPublish measures how many events a second the publishers of a worker put into a stream.
// It uses units of different sizes, and each partition publishes one unit at a time.
func BenchmarkPublish(b *testing.B) {
	for _, replicas := range []int{1, 3} {
		for _, partitions := range []int{1, 16, 64} {
			for _, unit := range []int{1, 10, 100, 500} {
				b.Run(fmt.Sprintf("replicas=%d/partitions=%d/unit=%d", replicas, partitions, unit), func(b *testing.B) {
					var nc *nats.Conn
					if replicas == 1 {
						nc = localnats.ForTest(b).Connect(b)
					} else {
						nc = startCluster(b, server.JSLimitOpts{}).connect(b, "")
					}
					benchmarkPublish(b, nc, replicas, partitions, unit)
				})
			}
		}
	}
}

func benchmarkPublish(b *testing.B, nc *nats.Conn, replicas, partitions, unit int) {
	js, err := jetstream.New(nc)
	require.NoError(b, err)
	config := eventstream.StreamConfig{Replicas: replicas}
	require.Eventually(b, func() bool {
		_, err := eventstream.Ensure(b.Context(), js, ns, config)
		return err == nil
	}, time.Minute, 50*time.Millisecond)
	log := store.NewMemory(partitions)
	watch := eventstream.NewWatch(js, ns, config, silence)
	all := make([]*eventstream.Publisher, partitions)
	ctx, stop := context.WithCancel(b.Context())
	ended := make(chan error, partitions)
	for p := range all {
		at, err := log.Acquire(ctx, p, "owner")
		require.NoError(b, err)
		all[p] = eventstream.NewPublisher(js, ns, config, log, at, silence).Follow(watch)
		go func() { ended <- all[p].Run(ctx) }()
	}
	b.Cleanup(func() {
		stop()
		for range all {
			require.NoError(b, <-ended)
		}
	})
	position := int64(0)
	publish := func() {
		for p, publisher := range all {
			publisher.Committed(position+int64(unit), commitUnit(b, log, p, position, unit))
		}
		position += int64(unit)
		for _, publisher := range all {
			require.NoError(b, publisher.Flush(ctx))
		}
	}
	publish() // this also raises the fences
	b.ResetTimer()
	for range b.N {
		publish()
	}
	b.ReportMetric(float64(b.N*unit*partitions)/b.Elapsed().Seconds(), "events/s")
}

func commitUnit(b *testing.B, log *store.Memory, partition int, position int64, unit int) (events []store.Event) {
	for range unit {
		position++
		events = append(events, store.Event{Partition: partition, Position: position, RecordedAt: time.Now().UTC().Truncate(time.Microsecond),
			Aggregate: store.Key{Type: "counter", ID: fmt.Sprint(partition)},
			Recorded:  aggregate.Recorded{Sequence: position, Type: "incremented", Version: 1, Body: []byte(`{"by":1,"name":"a counter"}`)}})
	}
	row, err := log.Partition(b.Context(), partition)
	require.NoError(b, err)
	require.NoError(b, log.Commit(b.Context(), &store.Commit{Partition: partition, Epoch: row.Epoch, Position: row.Position, Time: row.Time, Events: events}))
	return events
}
