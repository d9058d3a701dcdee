package hostile_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro"
	"github.com/maestro-es/maestro/client"
	"github.com/maestro-es/maestro/internal/openloop"
	"github.com/maestro-es/maestro/internal/wire"
	"github.com/maestro-es/maestro/tests/hostile"
)

var endureFlag = flag.Duration("endure", 5*time.Second, "how long TestNoHabitStopsAPartition goes on")

const (
	endureClients = 8
	// endureMemory is more memory than the cache, its reserve and the work under way may take.
	endureMemory = 512 << 20
	endureCache  = 32 << 20
)

// All habits at once and at random, in one namespace of 16 partitions. The good commands beside
// them are all committed, every partition goes on, and memory stays bounded.
func TestNoHabitStopsAPartition(t *testing.T) {
	t.Parallel()
	s := newSystem(t, func(c *maestro.Config) { c.Partitions, c.CacheBytes = 16, endureCache })
	s.partitions = 16
	ctx, stop := context.WithTimeout(t.Context(), *endureFlag)
	defer stop()
	var clients sync.WaitGroup
	var asked atomic.Int64
	for n := range endureClients {
		clients.Go(func() { s.misbehave(ctx, n, &asked) })
	}
	most := s.watchMemory(ctx)
	report := s.offer(ctx)
	clients.Wait()
	t.Logf("%d hostile commands; good ones: %d of %d committed, p50 %.0f ms, p99 %.0f ms, longest %.0f ms; at most %d MiB of heap",
		asked.Load(), report.Committed, report.Commands, report.Latency.P50, report.Latency.P99, report.Latency.Max, most()>>20)
	require.Equal(t, report.Commands, report.Committed, "good commands that were not committed: %v", report.Reasons)
	require.Less(t, most(), uint64(endureMemory))
	s.goOn()
	s.unchanged()
	s.check()
}

// misbehave sends one bad command after the other, each to a random partition, and expects an
// answer to each.
func (s *system) misbehave(ctx context.Context, n int, asked *atomic.Int64) {
	random := rand.New(rand.NewPCG(1, uint64(n)))
	all := hostile.Trials()
	for i := 0; ctx.Err() == nil; i++ {
		h := all[random.IntN(len(all))]
		id := fmt.Sprintf("bad-%d", random.IntN(100))
		way := s.Request
		if random.IntN(2) == 0 {
			way = s.SendAndWait
		}
		if random.IntN(10) == 0 {
			s.garble(random, id)
		}
		if _, err := s.ask(way, command(id, h.Command, h.Data)); err != nil {
			s.Errorf("%s: %v", h.Name, err)
			return
		}
		asked.Add(1)
	}
}

// garble publishes messages that are hardly commands, without waiting for an answer.
func (s *system) garble(random *rand.Rand, id string) {
	messages := []*nats.Msg{
		{Data: []byte(`{"text":`)}, {Data: []byte("\xff\xfe")}, {Data: []byte(strings.Repeat("[", 50_000))}, {Data: []byte("null")},
		{Header: nats.Header{wire.HeaderCommandID: {strings.Repeat("x", 300)}}},
		{Header: nats.Header{wire.HeaderDeadline: {"tomorrow"}}},
		{Header: nats.Header{wire.HeaderDeadline: {"2020-01-01T00:00:00Z"}}},
		{Header: nats.Header{wire.HeaderExpectSequence: {"-1"}}},
		{Header: nats.Header{wire.HeaderReply: {strings.Repeat("x", 5000)}}},
		{Header: nats.Header{wire.HeaderReply: {"not a subject"}}},
		{Header: nats.Header{wire.HeaderReply: {"$JS.API.STREAM.DELETE.ANY"}}},
		{Header: nats.Header{wire.HeaderCommandID: {"a\x01b"}}},
		{Header: nats.Header{"Traceparent": {"00-" + strings.Repeat("0", 32)}}},
	}
	m := messages[random.IntN(len(messages))]
	m.Subject = s.namespace.Send(hostile.Definition.Name(), id, "add")
	if random.IntN(4) == 0 {
		m.Subject = s.namespace.Send("ghost", id, "add")
	}
	_ = s.nats.PublishMsg(m)
}

// watchMemory looks at the heap until ctx ends. The returned function tells the highest size found.
func (s *system) watchMemory(ctx context.Context) func() uint64 {
	var most atomic.Uint64
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for tick := time.NewTicker(100 * time.Millisecond); ctx.Err() == nil; {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			most.Store(max(most.Load(), m.HeapAlloc))
			select {
			case <-tick.C:
			case <-ctx.Done():
				tick.Stop()
			}
		}
	}()
	return func() uint64 { <-ended; return most.Load() }
}

// offer sends good commands at a steady rate to all partitions.
func (s *system) offer(ctx context.Context) openloop.Report {
	s.Helper()
	data, err := openloop.ParseData(`{"text":"good"}`)
	require.NoError(s, err)
	commands, err := openloop.NewCommands([]*nats.Conn{s.nats}, string(s.namespace), client.NewID(), openloop.Load{
		Aggregate: hostile.Definition.Name(), Command: "add", Data: data, Aggregates: 1000, IDs: "steady-"}, patience)
	require.NoError(s, err)
	defer commands.Close()
	rate := 500.0
	if *endureFlag < time.Minute { // beside other tests
		rate = 50
	}
	report, err := openloop.Run(ctx, openloop.Plan{Rate: rate, Duration: *endureFlag}, commands)
	require.NoError(s, err)
	return report
}
