package eventstream_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/eventstream"
	"github.com/maestro-es/maestro/internal/localnats"
	"github.com/maestro-es/maestro/store"
)

// bench is a publisher that runs with a server whose files the test can take away.
type bench struct {
	*testing.T
	server    *localnats.Server
	dir       string
	js        jetstream.JetStream
	log       *store.Memory
	at        store.Partition
	publisher *eventstream.Publisher
	watch     *eventstream.Watch
}

// seen waits until the watch has seen the last event.
func (b *bench) seen() {
	b.Helper()
	stream, err := b.js.Stream(b.Context(), "MAESTRO_EVENTS")
	require.NoError(b, err)
	require.Eventually(b, func() bool { return b.watch.End() == stream.CachedInfo().State.LastSeq }, 15*time.Second, 10*time.Millisecond)
}

func newBench(t *testing.T, config eventstream.StreamConfig) *bench {
	b := &bench{T: t, dir: filepath.Join(t.TempDir(), "jetstream"), log: store.NewMemory(1)}
	var err error
	b.server, err = localnats.Start(localnats.Options{Dir: b.dir})
	require.NoError(t, err)
	t.Cleanup(b.server.Stop)
	b.js, err = jetstream.New(b.server.Connect(t))
	require.NoError(t, err)
	_, err = eventstream.Ensure(t.Context(), b.js, "maestro", config)
	require.NoError(t, err)
	b.at, err = b.log.Acquire(t.Context(), 0, "owner")
	require.NoError(t, err)
	b.watch = eventstream.NewWatch(b.js, "maestro", config, slog.Default())
	b.publisher = eventstream.NewPublisher(b.js, "maestro", config, b.log, b.at, slog.Default()).Follow(b.watch)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 2)
	go func() { b.watch.Run(ctx); done <- nil }()
	go func() { done <- b.publisher.Run(ctx) }()
	t.Cleanup(func() { stop(); require.NoError(t, <-done); require.NoError(t, <-done) })
	return b
}

// commit appends events to the log and waits until they are published.
func (b *bench) commit(n int) {
	b.Helper()
	b.commitAt(time.Now(), n)
}

func (b *bench) commitAt(at time.Time, n int) {
	b.Helper()
	c := &store.Commit{Epoch: b.at.Epoch, Position: b.at.Position, Time: b.at.Time}
	for range n {
		b.at.Position++
		c.Events = append(c.Events, store.Event{Position: b.at.Position, Aggregate: store.Key{Type: "counter", ID: "1"}, RecordedAt: at.UTC().Truncate(time.Microsecond),
			Recorded: aggregate.Recorded{Sequence: b.at.Position, Type: "incremented", Version: 1, Body: []byte(`{}`)}})
	}
	require.NoError(b, b.log.Commit(b.Context(), c))
	b.at.Time = c.Events[n-1].RecordedAt
	b.publisher.Committed(b.at.Position, c.Events)
	require.NoError(b, b.publisher.Flush(b.Context()))
}

// holds waits until the stream has n events, and checks that it has none twice.
func (b *bench) holds(n int) {
	b.Helper()
	var found uint64
	defer func() { b.Logf("the stream has %d events of %d", found, n) }()
	require.Eventually(b, func() bool {
		stream, err := b.js.Stream(b.Context(), "MAESTRO_EVENTS")
		if err != nil {
			return false
		}
		info, err := stream.Info(b.Context(), jetstream.WithSubjectFilter("maestro.evt.>"))
		if err == nil {
			found = info.State.Subjects["maestro.evt.0.counter.1.incremented"]
		}
		return found == uint64(n)
	}, 15*time.Second, 10*time.Millisecond)
}

// A partition without new events gets its events back into the stream all the same.
func TestADeletedStreamIsBuiltAnew(t *testing.T) {
	t.Parallel()
	b := newBench(t, eventstream.StreamConfig{})
	b.commit(3)
	require.NoError(t, b.js.DeleteStream(t.Context(), "MAESTRO_EVENTS"))
	b.holds(3)
	b.commit(2)
	b.holds(5)
}

// A server that lost power comes back without the messages that it had not written to its disk
// yet.
func TestALostEndIsPublishedAgain(t *testing.T) {
	t.Parallel()
	for name, next := range map[string]int{"nothing happens": 0, "more happens": 2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, eventstream.StreamConfig{})
			b.commit(3)
			b.server.Stop()
			saved := t.TempDir()
			require.NoError(t, os.CopyFS(saved, os.DirFS(b.dir)))
			require.NoError(t, b.server.Restart())
			b.commit(4)
			b.holds(7)
			b.server.Stop()
			require.NoError(t, os.RemoveAll(b.dir))
			require.NoError(t, os.CopyFS(b.dir, os.DirFS(saved)))
			require.NoError(t, b.server.Restart())
			if next > 0 {
				b.commit(next)
			}
			b.holds(7 + next)
		})
	}
}

// Events that a bounded stream has dropped are not published again.
func TestDroppedEventsStayDropped(t *testing.T) {
	t.Parallel()
	b := newBench(t, eventstream.StreamConfig{MaxAge: 2 * time.Second})
	b.commit(3)
	b.holds(0)
	require.NoError(t, b.server.Restart())
	b.commit(1)
	b.holds(1)
}

// A bounded stream lacks events, but is too young to have dropped them. It has lost them, because
// the server came back with older files or somebody has purged the stream. The connection does not
// show a purge.
func TestWhatABoundedStreamLostIsPublishedAgain(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]eventstream.StreamConfig{
		"by age": {MaxAge: time.Hour}, "by size": {MaxBytes: 16 << 20}, "by both": {MaxAge: time.Hour, MaxBytes: 16 << 20},
	} {
		t.Run(name+", older files", func(t *testing.T) {
			t.Parallel()
			b := newBench(t, config)
			b.server.Stop()
			saved := t.TempDir()
			require.NoError(t, os.CopyFS(saved, os.DirFS(b.dir)))
			require.NoError(t, b.server.Restart())
			b.commit(3)
			b.commit(1) // this saves how far events were published
			b.server.Stop()
			require.NoError(t, os.RemoveAll(b.dir))
			require.NoError(t, os.CopyFS(b.dir, os.DirFS(saved)))
			require.NoError(t, b.server.Restart())
			b.holds(4)
		})
		t.Run(name+", purged", func(t *testing.T) {
			t.Parallel()
			b := newBench(t, config)
			b.commit(4)
			b.seen()
			stream, err := b.js.Stream(t.Context(), "MAESTRO_EVENTS")
			require.NoError(t, err)
			require.NoError(t, stream.Purge(t.Context()))
			b.holds(4)
		})
	}
}

// If a bounded stream lacks events, those that were too old for it are not published again.
func TestWhatWasTooOldIsNotPublishedAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t, eventstream.StreamConfig{MaxAge: time.Hour})
	b.commitAt(time.Now().Add(-2*time.Hour), 5)
	b.commit(2)
	b.seen()
	stream, err := b.js.Stream(t.Context(), "MAESTRO_EVENTS")
	require.NoError(t, err)
	require.NoError(t, stream.Purge(t.Context()))
	b.holds(2)
}
