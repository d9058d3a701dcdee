package ownership

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/internal/hlc"
	"github.com/maestro-es/maestro/internal/lane"
	"github.com/maestro-es/maestro/internal/localnats"
	"github.com/maestro-es/maestro/internal/telemetry"
	"github.com/maestro-es/maestro/internal/wire"
	"github.com/maestro-es/maestro/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const ns = wire.Namespace("maestro")

// Box takes things.
type (
	Box    struct{ Count int }
	Put    struct{}
	WasPut struct{}
)

func (Put) Decide(aggregate.Root[Box]) ([]aggregate.Event[Box], error) {
	return []aggregate.Event[Box]{WasPut{}}, nil
}

func (WasPut) Evolve(b Box) Box { return Box{Count: b.Count + 1} }

// Hang is a command whose Decide does not return until it is released.
type Hang struct{}

var letGo = make(chan struct{})

func (Hang) Decide(aggregate.Root[Box]) ([]aggregate.Event[Box], error) {
	<-letGo
	return nil, nil
}

var box = aggregate.Define("box", aggregate.Handles[Put]("put"), aggregate.Handles[Hang]("hang"), aggregate.Emits[WasPut]("was_put"))

// eventLog is the store that lanes and their owner need.
type eventLog interface {
	Store
	lane.Store
	lane.SnapshotStore
}

// silent is a publisher that publishes nothing and has no obstacle.
type silent struct{}

func (silent) Committed(int64, []store.Event) {}
func (silent) Published() (int64, time.Time)  { return 0, time.Time{} }
func (silent) Noticed(int64)                  {}
func (silent) Run(ctx context.Context) error  { <-ctx.Done(); return nil }
func (silent) Flush(context.Context) error    { return nil }
func (silent) Obstacle() (time.Time, error)   { return time.Time{}, nil }
func (silent) Diverged() bool                 { return false }

// nobody is a Requests without any requests.
type nobody struct{}

func (nobody) Review(time.Time) {}
func (nobody) StopServing()     {}

// broker is a server with a connection of its own for the test.
type broker struct {
	*testing.T
	server *localnats.Server
	nc     *nats.Conn
}

func newBroker(t *testing.T) *broker {
	t.Helper()
	server := localnats.ForTest(t)
	return &broker{T: t, server: server, nc: server.Connect(t)}
}

// owner makes an ownership with its own connection, like a worker.
func (b *broker) owner(s eventLog, change ...func(*Config)) *Ownership {
	b.Helper()
	logger := slog.New(slog.DiscardHandler)
	memory := lane.NewMemory(1<<20, 0)
	c := Config{NATS: b.server.Connect(b), Namespace: ns, Store: s, Worker: b.Name(), Logger: logger,
		Lane: lane.Config{Store: s, Types: map[string]aggregate.Type{"box": box}, Clock: hlc.New(), Logger: logger, Memory: memory,
			Snapshots: lane.NewSnapshots(s, logger).Within(memory), Waiting: &telemetry.Seldom{}, Worked: &lane.Worked{},
			Metrics: telemetry.Discard(), MaxBatch: 8, MaxEventBytes: func() int { return 1 << 20 }},
		Publisher: func(store.Partition) Publisher { return silent{} }}
	for _, f := range change {
		f(&c)
	}
	return New(c)
}

// run owns partitions until the test ends.
func (b *broker) run(o *Ownership) {
	b.Helper()
	ctx, stop := context.WithCancel(context.Background())
	joined, leave := context.WithCancel(context.Background())
	var group sync.WaitGroup
	require.NoError(b, o.Join(joined, &group))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		o.Run(ctx, nobody{})
	}()
	b.Cleanup(func() {
		stop()
		<-ended
		leave()
		group.Wait()
	})
}

// submit gives a command to a lane, and returns the channel for its result.
func (b *broker) submit(o *Ownership, partition int, id, name string) <-chan lane.Result {
	b.Helper()
	done := make(chan lane.Result, 1)
	require.NoError(b, o.Lanes[partition].Load().Submit(b.Context(), &lane.Command{Key: store.Key{Type: "box", ID: id}, ID: name + id,
		Name: name, Body: []byte(`{}`), Done: func(r lane.Result) { done <- r }}))
	return done
}

// inPartition returns the id of a box in one of four partitions.
func inPartition(p int) string {
	id := "a"
	for wire.Partition("box", id, 4) != p {
		id += "a"
	}
	return id
}
