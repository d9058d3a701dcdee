package eventstream_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/eventstream"
	"github.com/maestro-es/maestro/internal/localnats"
	"github.com/maestro-es/maestro/internal/wire"
	"github.com/maestro-es/maestro/store"
)

func TestMain(m *testing.M) {
	eventstream.Hasten(time.Second)
	goleak.VerifyTestMain(m)
}

const ns = wire.Namespace("maestro")

var silence = slog.New(slog.DiscardHandler)

// rig is a log with one partition, and a server for its event stream.
type rig struct {
	*testing.T
	server  *localnats.Server
	connect func() *nats.Conn
	config  eventstream.StreamConfig
	nc      *nats.Conn
	js      jetstream.JetStream
	log     *store.Memory
	n, era  int // how many events there are, and which history they belong to
	last    map[store.Key]int64
}

func newRig(t *testing.T) *rig {
	t.Helper()
	server := localnats.ForTest(t)
	r := rigOn(t, func() *nats.Conn { return server.Connect(t) })
	r.server = server
	return r
}

// rigOn returns a rig on the server that connect connects to.
func rigOn(t *testing.T, connect func() *nats.Conn) *rig {
	t.Helper()
	r := &rig{T: t, connect: connect, nc: connect(), log: store.NewMemory(1), last: map[store.Key]int64{}}
	r.js = r.jetStream(r.nc)
	return r
}

func (r *rig) jetStream(nc *nats.Conn) jetstream.JetStream {
	r.Helper()
	js, err := jetstream.New(nc, jetstream.WithDefaultTimeout(5*time.Second))
	require.NoError(r, err)
	return js
}

// acquire gives the partition a new owner.
func (r *rig) acquire() store.Partition {
	r.Helper()
	at, err := r.log.Acquire(r.Context(), 0, r.Name())
	require.NoError(r, err)
	return at
}

// commit adds n events of a few aggregates to the log. It returns the log's position and the
// events.
func (r *rig) commit(n int) (position int64, events []store.Event) {
	r.Helper()
	return r.commitBytes(n, 0)
}

// commitBytes adds events with bodies of about the given size.
func (r *rig) commitBytes(n, size int) (position int64, events []store.Event) {
	r.Helper()
	row, err := r.log.Partition(r.Context(), 0)
	require.NoError(r, err)
	for range n {
		key := store.Key{Type: []string{"counter", "account"}[r.n%2], ID: fmt.Sprint("c", r.n%3)}
		r.last[key]++
		body, err := json.Marshal(map[string]string{"n": fmt.Sprint(r.n), "fill": strings.Repeat("x", size)})
		require.NoError(r, err)
		events = append(events, store.Event{Position: row.Position + int64(len(events)) + 1,
			Aggregate:  key,
			Recorded:   aggregate.Recorded{Sequence: r.last[key], Type: []string{"added", "removed"}[r.n%4/2], Version: 1, Body: body},
			Metadata:   store.Metadata{CommandID: fmt.Sprint("command-", r.n)},
			RecordedAt: time.UnixMicro(int64(r.era*1_000_000 + r.n + 1)).UTC()})
		r.n++
	}
	require.NoError(r, r.log.Commit(r.Context(), &store.Commit{Epoch: row.Epoch, Position: row.Position, Time: row.Time, Events: events,
		Published: row.Published, EventStreamCreated: row.EventStreamCreated}))
	return row.Position + int64(n), events
}

// publisher returns the publisher of an owner, on a connection of its own.
func (r *rig) publisher(at store.Partition) *eventstream.Publisher {
	r.Helper()
	return r.publisherOf(r.log, at, silence)
}

func (r *rig) publisherOf(log eventstream.Log, at store.Partition, logger *slog.Logger) *eventstream.Publisher {
	r.Helper()
	return eventstream.NewPublisher(r.jetStream(r.connect()), ns, r.config, log, at, logger)
}

// running is a publisher that runs.
type running struct {
	*eventstream.Publisher
	stop  func()
	ended chan error
}

// run runs a publisher until stop is called or the test ends.
func (r *rig) run(p *eventstream.Publisher) *running {
	r.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	run := &running{Publisher: p, ended: make(chan error, 1)}
	var group sync.WaitGroup
	group.Go(func() { run.ended <- p.Run(ctx) })
	run.stop = func() { cancel(); group.Wait() }
	r.Cleanup(run.stop)
	return run
}

// flush waits until all committed events are published.
func (r *rig) flush(p *running) {
	r.Helper()
	ctx, cancel := context.WithTimeout(r.Context(), time.Minute)
	defer cancel()
	require.NoError(r, p.Flush(ctx))
}

// text returns everything that is published of an event, as one string.
func text(e store.Event) string {
	return fmt.Sprint(e.Partition, " ", e.Position, " ", e.Aggregate, " ", e.Sequence, " ", e.Type, " ", e.Version, " ", string(e.Body), " ",
		e.Metadata, " ", e.RecordedAt.UnixMicro())
}

// stream returns the events of the stream in the form of text. It reads the messages as any
// subscriber can.
func (r *rig) stream() (events []string) {
	r.Helper()
	stream, err := r.js.Stream(r.Context(), ns.EventStream())
	require.NoError(r, err)
	state := stream.CachedInfo().State
	for s := state.FirstSeq; s <= state.LastSeq; s++ {
		m, err := stream.GetMsg(r.Context(), s)
		if err != nil {
			require.ErrorIs(r, err, jetstream.ErrMsgNotFound)
			continue
		}
		if strings.HasPrefix(m.Subject, strings.TrimSuffix(ns.Fences(), "*")) {
			continue
		}
		e, err := eventstream.Parse(ns, m.Subject, m.Header, m.Data)
		require.NoError(r, err)
		events = append(events, text(e))
	}
	return events
}

// want returns the events of the log in the same form.
func (r *rig) want() (events []string) {
	r.Helper()
	for { // a page also ends by its bytes
		log, err := r.log.Log(r.Context(), 0, int64(len(events)), 1_000_000)
		require.NoError(r, err)
		if len(log) == 0 {
			return events
		}
		for _, e := range log {
			events = append(events, text(e))
		}
	}
}

// requireEqual checks that the stream equals the log.
func (r *rig) requireEqual() {
	r.Helper()
	want, got := r.want(), r.stream()
	for i := range min(len(want), len(got)) {
		require.Equal(r, want[i], got[i])
	}
	require.Len(r, got, len(want))
}
