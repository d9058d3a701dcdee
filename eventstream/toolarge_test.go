package eventstream_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/eventstream"
	"github.com/maestro-es/maestro/store"
)

// An operator lowers the server's limit while larger events wait. The server does not tell
// clients. It closes the connection of a client that sends such an event for good, and the worker
// ends and is started again. The events behind must not wait forever.
func TestAnEventThatIsTooLargeHoldsUpNobody(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	at, nc := r.acquire(), r.connect()
	former := r.run(eventstream.NewPublisher(r.jetStream(nc), ns, r.config, r.log, at, silence))
	r.commit(3)
	require.NoError(t, r.server.SetMaxPayload(64<<10))
	r.commitBytes(1, 100_000)
	former.Committed(r.commit(3))
	require.Eventually(t, nc.IsClosed, 20*time.Second, time.Millisecond)
	former.stop()

	logged := make(chan string, 100)
	p := r.run(r.publisherOf(r.log, r.acquire(), slog.New(warnings{texts: logged})))
	p.Committed(7, nil)
	r.flush(p)
	for i, e := range r.bodies(7) {
		require.EqualValues(t, i+1, e.Position)
		require.Equal(t, i == 3, e.BodyInLog, "position %d", e.Position)
		require.Equal(t, i == 3, len(e.Body) == 0)
		require.NotEmpty(t, e.Metadata.CommandID)
	}
	require.Eventually(t, func() bool { return contains(logged, "published without its body") }, 10*time.Second, time.Millisecond)
}

// The stream may have a limit of its own.
func TestAnEventThatTheStreamDoesNotTakeHoldsUpNobody(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	_, err := r.js.CreateStream(t.Context(), jetstream.StreamConfig{Name: ns.EventStream(), Subjects: []string{ns.Events(), ns.Fences()},
		AllowRollup: true, AllowBatchPublish: true, AllowAtomicPublish: true, MaxMsgSize: 32 << 10, Duplicates: time.Second})
	require.NoError(t, err)
	r.commit(1)
	r.commitBytes(2, 40_000)
	r.commit(1)
	p := r.run(r.publisher(r.acquire()))
	p.Committed(4, nil)
	r.flush(p)
	got := r.bodies(4)
	require.Equal(t, []bool{false, true, true, false}, []bool{got[0].BodyInLog, got[1].BodyInLog, got[2].BodyInLog, got[3].BodyInLog})
}

// bodies returns the first n events that a subscriber gets.
func (r *rig) bodies(n int) (events []store.Event) {
	r.Helper()
	ctx, stop := context.WithTimeout(r.Context(), time.Minute)
	defer stop()
	err := eventstream.Subscribe(ctx, r.server.Connect(r, nats.Name("a subscriber")), eventstream.Subscription{Name: "reader", Logger: silence},
		func(_ context.Context, e store.Event) error {
			if events = append(events, e); len(events) == n {
				stop()
			}
			return nil
		})
	require.NoError(r, err)
	require.GreaterOrEqual(r, len(events), n)
	return events[:n]
}

// contains tells whether a message that waits in the channel contains a text.
func contains(logged chan string, text string) bool {
	for {
		select {
		case line := <-logged:
			if strings.Contains(line, text) {
				return true
			}
		default:
			return false
		}
	}
}

// A program that subscribes may start before the first worker of its namespace.
func TestASubscriptionWaitsForItsStream(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	logged, got := make(chan string, 1), make(chan error, 1)
	go func() {
		got <- eventstream.Subscribe(ctx, r.nc, eventstream.Subscription{Name: "early", Logger: slog.New(warnings{texts: logged})},
			func(context.Context, store.Event) error { stop(); return nil })
	}()
	require.Contains(t, <-logged, "the event stream is not there yet")
	r.commit(1)
	p := r.run(r.publisher(r.acquire()))
	p.Committed(1, nil)
	r.flush(p)
	require.NoError(t, <-got)
	require.ErrorIs(t, ctx.Err(), context.Canceled, "the event came")
}
