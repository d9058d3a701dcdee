package eventstream_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/eventstream"
	"github.com/maestro-es/maestro/store"
)

func TestWhatIsCommittedIsPublishedInOrder(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.run(r.publisher(r.acquire()))
	for _, n := range []int{1, 2, 1, 700, 3} {
		p.Committed(r.commit(n))
	}
	r.commit(5) // not handed over, so it is read from the log
	position, _ := r.commit(1)
	p.Committed(position, nil)
	r.flush(p)
	r.requireEqual()
	require.Zero(t, p.Backlog())
}

// A publisher is stopped in the middle of a unit, again and again. Each time another one
// continues.
func TestAPublisherGoesOnWhereverTheLastOneStopped(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	seen, err := r.nc.SubscribeSync(ns.Events()) // the messages on their way into the stream
	require.NoError(t, err)
	require.NoError(t, seen.SetPendingLimits(-1, -1))
	require.NoError(t, r.nc.Flush())
	for range 30 {
		p := r.run(r.publisher(r.acquire()))
		p.Committed(r.commit(rand.IntN(60) + 1))
		for range rand.IntN(80) { // some units end, but not the last one
			if _, err := seen.NextMsg(20 * time.Millisecond); err != nil {
				break // everything is published
			}
		}
		p.stop()
		require.NoError(t, <-p.ended)
	}
	p := r.run(r.publisher(r.acquire()))
	r.flush(p)
	r.requireEqual()
}

func TestAPublisherSurvivesARestartOfTheServer(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.run(r.publisher(r.acquire()))
	p.Committed(r.commit(10))
	r.flush(p)
	for range 3 {
		p.Committed(r.commit(200))
		require.NoError(t, r.server.Restart())
		p.Committed(r.commit(200))
	}
	r.flush(p)
	require.Eventually(t, r.nc.IsConnected, 20*time.Second, time.Millisecond)
	r.requireEqual()
}

// While the stream is away, more events are committed than fit into memory.
func TestWhatThereIsNoRoomForIsReadFromTheLog(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.run(r.publisher(r.acquire()))
	p.Committed(r.commit(1))
	r.flush(p)
	r.server.Stop()
	for range 5 {
		p.Committed(r.commitBytes(4, 900_000)) // 18 MB in all
	}
	require.NoError(t, r.server.Restart())
	r.flush(p)
	p.Committed(r.commit(3))
	r.flush(p)
	require.Eventually(t, r.nc.IsConnected, 20*time.Second, time.Millisecond)
	r.requireEqual()
}

func TestADeletedStreamIsRebuiltFromTheLog(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.run(r.publisher(r.acquire()))
	p.Committed(r.commit(100))
	r.flush(p)
	require.NoError(t, r.js.DeleteStream(t.Context(), ns.EventStream()))
	p.Committed(r.commit(1))
	r.flush(p)
	r.requireEqual()

	p.stop()
	require.NoError(t, r.js.DeleteStream(t.Context(), ns.EventStream()))
	next := r.run(r.publisher(r.acquire()))
	next.Committed(r.commit(1))
	r.flush(next)
	r.requireEqual()
}

// The stream drops its oldest events by age or by size. Dropped events are not published again.
func TestAPurgedStreamGoesOnAtTheEnd(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.run(r.publisher(r.acquire()))
	p.Committed(r.commit(10))
	r.flush(p)
	stream, err := r.js.Stream(t.Context(), ns.EventStream())
	require.NoError(t, err)
	require.NoError(t, stream.Purge(t.Context())) // including its fence
	p.Committed(r.commit(2))
	r.flush(p)
	require.Equal(t, r.want()[10:], r.stream())

	require.NoError(t, stream.Purge(t.Context(), jetstream.WithPurgeSubject(ns.Events())))
	p.stop()
	published, of := p.Published()
	row := r.acquire()
	require.NoError(t, r.log.Commit(t.Context(), &store.Commit{Epoch: row.Epoch, Position: row.Position, Time: row.Time, Published: published, EventStreamCreated: of}))
	next := r.run(r.publisher(r.acquire()))
	next.Committed(r.commit(2))
	r.flush(next)
	require.Equal(t, r.want()[12:], r.stream())
}

// warnings passes on the texts of log messages.
type warnings struct{ texts chan string }

func (w warnings) WithAttrs([]slog.Attr) slog.Handler       { return w }
func (w warnings) WithGroup(string) slog.Handler            { return w }
func (w warnings) Enabled(context.Context, slog.Level) bool { return true }
func (w warnings) Handle(_ context.Context, record slog.Record) error {
	text := record.Message
	record.Attrs(func(a slog.Attr) bool { text += " " + a.String(); return true })
	select {
	case w.texts <- text:
	default:
	}
	return nil
}

// If a database was restored from an older backup, publishing must not continue unnoticed by those
// who read the stream.
func TestADatabaseThatTheStreamWasNotMadeFromIsRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		restored int // number of events
		want     string
	}{
		"behind the stream":      {3, "has position 5 of partition 0, but the log ends at 3"},
		"with other events":      {5, "has position 5 of partition 0, but the log has another event there"},
		"with more other events": {9, "has position 5 of partition 0, but the log has another event there"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			p := r.run(r.publisher(r.acquire()))
			p.Committed(r.commit(5))
			r.flush(p)
			p.stop()
			before := r.stream()

			r.log, r.n, r.era, r.last = store.NewMemory(1), 0, 1, map[store.Key]int64{}
			r.commit(c.restored)
			logged := make(chan string, 1)
			p = r.run(r.publisherOf(r.log, r.acquire(), slog.New(warnings{texts: logged})))
			text := <-logged
			require.Contains(t, text, c.want)
			require.Contains(t, text, "rebuild the stream with `worker republish`")
			p.Committed(r.commit(3))
			require.Contains(t, <-logged, "the database is not the one that the stream was made from")
			p.stop()
			require.NoError(t, <-p.ended)
			require.Equal(t, before, r.stream())
		})
	}
}

func TestSomebodyElsesMessageOnASubjectOfEventsIsRemoved(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	stream, err := eventstream.Ensure(t.Context(), r.js, ns, eventstream.StreamConfig{})
	require.NoError(t, err)
	ack, err := r.js.PublishMsg(t.Context(), &nats.Msg{Subject: ns.Event(0, "counter", "1", "incremented")})
	require.NoError(t, err)
	r.commit(3)
	logged := make(chan string, 1)
	running := r.run(r.publisherOf(r.log, r.acquire(), slog.New(warnings{texts: logged})))
	require.Contains(t, <-logged, fmt.Sprintf("message %d of MAESTRO_EVENTS was no event", ack.Sequence))
	r.flush(running)
	r.requireEqual()
	_, err = stream.GetMsg(t.Context(), ack.Sequence)
	require.ErrorIs(t, err, jetstream.ErrMsgNotFound)
}

// An older program may still run after a newer one has published events in a newer form.
func TestAnEventInAnUnknownFormStays(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	stream, err := eventstream.Ensure(t.Context(), r.js, ns, eventstream.StreamConfig{})
	require.NoError(t, err)
	ack, err := r.js.PublishMsg(t.Context(), &nats.Msg{Subject: ns.Event(0, "counter", "1", "incremented"),
		Header: nats.Header{"ce-specversion": {"2.0"}}})
	require.NoError(t, err)
	r.commit(3)
	logged := make(chan string, 1)
	r.run(r.publisherOf(r.log, r.acquire(), slog.New(warnings{texts: logged})))
	require.Contains(t, <-logged, fmt.Sprintf("a newer one has published it: end the old workers, or update them: message %d of MAESTRO_EVENTS", ack.Sequence))
	_, err = stream.GetMsg(t.Context(), ack.Sequence)
	require.NoError(t, err, "it is still there")
}
