package eventstream_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/maestro-es/maestro/eventstream"
	"github.com/maestro-es/maestro/store"
)

// subscriber is a program downstream.
type subscriber struct {
	nc    *nats.Conn
	got   chan string // the events that it was handed
	stop  func()
	ended chan error
}

// subscribe runs a program until it is stopped or the test ends. handle, if not nil, may refuse
// events.
func (r *rig) subscribe(s eventstream.Subscription, handle func(store.Event) error) *subscriber {
	r.Helper()
	return r.subscribeOn(r.server.Connect(r), s, handle)
}

func (r *rig) subscribeOn(nc *nats.Conn, s eventstream.Subscription, handle func(store.Event) error) *subscriber {
	r.Helper()
	if s.Logger == nil {
		s.Logger = silence
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &subscriber{nc: nc, got: make(chan string, 10_000), ended: make(chan error, 1)}
	var group sync.WaitGroup
	group.Go(func() {
		p.ended <- eventstream.Subscribe(ctx, nc, s, func(_ context.Context, e store.Event) error {
			p.got <- text(e)
			if handle != nil {
				return handle(e)
			}
			return nil
		})
	})
	p.stop = func() { cancel(); group.Wait() }
	r.Cleanup(p.stop)
	return p
}

// take waits for the next n events.
func (p *subscriber) take(r *rig, n int) (events []string) {
	r.Helper()
	for range n {
		select {
		case e := <-p.got:
			events = append(events, e)
		case err := <-p.ended:
			r.Fatalf("the subscription ended with %v after %d of %d events", err, len(events), n)
		}
	}
	return events
}

// published publishes a log of n events, and returns the publisher.
func (r *rig) published(n int) *running {
	r.Helper()
	p := r.run(r.publisher(r.acquire()))
	p.Committed(r.commit(n))
	r.flush(p)
	return p
}

func TestASubscriberGetsEveryEventInOrder(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.published(100)
	s := r.subscribe(eventstream.Subscription{Name: "all"}, nil)
	p.Committed(r.commit(100))
	require.Equal(t, r.want(), s.take(r, 200))
	s.stop()
	require.NoError(t, <-s.ended)
}

func TestASubscriberGetsWhatItAskedForOnly(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.published(60)
	log, err := r.log.Log(t.Context(), 0, 0, 1000)
	require.NoError(t, err)
	for name, c := range map[string]struct {
		eventstream.Subscription
		wants func(store.Event) bool
	}{
		"aggregate": {eventstream.Subscription{Aggregate: "counter"}, func(e store.Event) bool { return e.Aggregate.Type == "counter" }},
		"id":        {eventstream.Subscription{AggregateID: "c1"}, func(e store.Event) bool { return e.Aggregate.ID == "c1" }},
		"event":     {eventstream.Subscription{Event: "removed"}, func(e store.Event) bool { return e.Type == "removed" }},
		"all": {eventstream.Subscription{Aggregate: "account", AggregateID: "c1", Event: "added"}, func(e store.Event) bool {
			return e.Aggregate == store.Key{Type: "account", ID: "c1"} && e.Type == "added"
		}},
	} {
		t.Run(name, func(t *testing.T) {
			var want []string
			for _, e := range log {
				if c.wants(e) {
					want = append(want, text(e))
				}
			}
			require.NotEmpty(t, want)
			c.Name = name
			s := r.subscribe(c.Subscription, nil)
			require.Equal(t, want, s.take(r, len(want)))
			s.stop()
			require.Empty(t, s.got)
		})
	}
}

func TestASubscriptionThatNoEventFitsIsRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.published(1)
	for want, s := range map[string]eventstream.Subscription{
		`Subscription.Name "": expected`:    {},
		`Subscription.Name "a.b": expected`: {Name: "a.b"},
		`aggregate name "counter.>"`:        {Name: "a", Aggregate: "counter.>"},
		`aggregate id "4.2"`:                {Name: "a", AggregateID: "4.2"},
		`event name "*"`:                    {Name: "a", Event: "*"},
		`namespace "Shop"`:                  {Name: "a", Namespace: "Shop"},
	} {
		err := eventstream.Subscribe(t.Context(), r.nc, s, func(context.Context, store.Event) error { return nil })
		require.ErrorContains(t, err, want)
	}
}

// A handler that fails gets the same event until it takes it, and no other event before that.
func TestAnEventThatIsNotTakenComesAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.published(4)
	refusals := 2
	s := r.subscribe(eventstream.Subscription{Name: "s"}, func(e store.Event) error {
		if e.Position == 3 && refusals > 0 {
			refusals--
			return errors.New("not now")
		}
		return nil
	})
	want := r.want()
	require.Equal(t, []string{want[0], want[1], want[2], want[2], want[2], want[3]}, s.take(r, 6))
}

// A program that ends before it has taken an event gets the event again at once, before any other.
// If a handler never takes an event, no other event comes, and an operator must be able to see
// that.
func TestAnEventThatIsNeverTakenIsVisible(t *testing.T) {
	t.Cleanup(eventstream.SetStuckAfter(2))
	reader := sdkmetric.NewManualReader()
	before := otel.GetMeterProvider()
	otel.SetMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)))
	t.Cleanup(func() { otel.SetMeterProvider(before) })
	stuck := func() (value int64) {
		var all metricdata.ResourceMetrics
		require.NoError(t, reader.Collect(context.Background(), &all))
		for _, scope := range all.ScopeMetrics {
			for _, m := range scope.Metrics {
				if m.Name == "maestro.subscription.stuck" {
					value = m.Data.(metricdata.Sum[int64]).DataPoints[0].Value
				}
			}
		}
		return value
	}
	r := newRig(t)
	p := r.published(1)
	var mended atomic.Bool
	logged := make(chan string, 1000)
	s := r.subscribe(eventstream.Subscription{Name: "s", Logger: slog.New(warnings{texts: logged})}, func(store.Event) error {
		if mended.Load() {
			return nil
		}
		return errors.New("poison")
	})
	require.Eventually(t, func() bool {
		for {
			select {
			case text := <-logged:
				if strings.Contains(text, "an event is not taken, and all events behind it wait") {
					require.Contains(t, text, "tries=3")
					require.Contains(t, text, "position=1")
					return true
				}
			default:
				return false
			}
		}
	}, time.Minute, 10*time.Millisecond)
	require.EqualValues(t, 1, stuck())
	mended.Store(true)
	p.Committed(r.commit(1))
	for s.take(r, 1)[0] != r.want()[1] {
	}
	require.Eventually(t, func() bool { return stuck() == 0 }, time.Minute, 10*time.Millisecond)
}

func TestAProgramGoesOnWhereItStopped(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.published(6)
	want := r.want()
	for name, stop := range map[string]func(*subscriber){
		"stopped": func(s *subscriber) { s.stop() },
		"crashed": func(s *subscriber) { s.nc.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first := r.subscribe(eventstream.Subscription{Name: name}, func(e store.Event) error {
				if e.Position == 3 {
					return errors.New("cannot")
				}
				return nil
			})
			require.Equal(t, want[:3], first.take(r, 3))
			stop(first)
			second := r.subscribe(eventstream.Subscription{Name: name}, nil)
			require.Equal(t, want[2:], second.take(r, 4))
			second.stop()
			third := r.subscribe(eventstream.Subscription{Name: name}, nil)
			third.stop()
			require.Empty(t, third.got, "all is done")
		})
	}
}

// A handler may take longer than the server waits for a program that went away.
func TestALongHandlerKeepsItsEvent(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.published(2)
	done := make(chan struct{})
	time.AfterFunc(3*time.Second, func() { close(done) }) // three times as long
	s := r.subscribe(eventstream.Subscription{Name: "s"}, func(store.Event) error { <-done; return nil })
	first := s.take(r, 1)
	other := r.subscribe(eventstream.Subscription{Name: "s"}, nil)
	select {
	case e := <-other.got:
		require.Equal(t, r.want()[1], e, "another program got the event too")
	case e := <-s.got:
		require.Equal(t, r.want()[1], e)
	}
	require.Equal(t, r.want()[:1], first)
}

func TestANewSubscriptionMayLeaveOutThePast(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.published(5)
	s := r.subscribe(eventstream.Subscription{Name: "s", NewOnly: true}, nil)
	r.awaitConsumer("s")
	p.Committed(r.commit(3))
	require.Equal(t, r.want()[5:], s.take(r, 3))
}

// Programs with the same name share the events, and the order is kept all the same.
func TestProgramsShareASubscription(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.published(60)
	all := make(chan string, 100)
	for range 3 {
		r.subscribe(eventstream.Subscription{Name: "s"}, func(e store.Event) error { all <- text(e); return nil })
	}
	for _, want := range r.want() {
		require.Equal(t, want, <-all)
	}
}

// A message that is no event is logged and left out, and the subscription continues.
func TestAMessageThatIsNoEventIsLeftOut(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.published(1)
	_, err := r.js.Publish(t.Context(), ns.Event(0, "counter", "c0", "added"), []byte("not an event"))
	require.NoError(t, err)
	_, err = r.js.Publish(t.Context(), "maestro.evt.0.more.than.that.has", nil)
	require.NoError(t, err)
	logged := make(chan string, 10)
	s := r.subscribe(eventstream.Subscription{Name: "s", Logger: slog.New(warnings{texts: logged})}, nil)
	require.Equal(t, r.want(), s.take(r, 1))
	require.Contains(t, <-logged, "a message that is no event is left out subject=maestro.evt.0.counter.c0.added")
	p.Committed(r.commit(3))
	require.Equal(t, r.want()[1:], s.take(r, 3))
}

func TestASubscriptionSurvivesARestartOfTheServer(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.published(50)
	seen := make(chan struct{}, 1000)
	handled := map[string]bool{}
	s := r.subscribe(eventstream.Subscription{Name: "s"}, func(e store.Event) error {
		handled[text(e)] = true
		seen <- struct{}{}
		return nil
	})
	for range 3 {
		for range 10 {
			<-seen
		}
		require.NoError(t, r.server.Restart())
		p.Committed(r.commit(20))
	}
	want := r.want()
	for e := range s.got { // an event may come again if its acknowledgement was lost
		if e == want[len(want)-1] {
			break
		}
	}
	s.stop()
	require.Len(t, handled, len(want))
	require.NoError(t, <-s.ended)
}

// A subscription that was deleted, alone or with its stream, begins anew.
func TestASubscriptionThatIsGoneBeginsAnew(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.published(3)
	s := r.subscribe(eventstream.Subscription{Name: "s"}, nil)
	s.take(r, 3)
	require.NoError(t, r.js.DeleteConsumer(t.Context(), ns.EventStream(), "s"))
	require.Equal(t, r.want(), s.take(r, 3))
	require.NoError(t, r.js.DeleteStream(t.Context(), ns.EventStream()))
	p.Committed(r.commit(1))
	require.Equal(t, r.want(), s.take(r, 4))
}

// A program that wants new events only gets only those, even after its subscription was lost, and
// when it comes back.
func TestASubscriptionToNewEventsComesBack(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.published(5)
	s := r.subscribe(eventstream.Subscription{Name: "s", NewOnly: true}, nil)
	r.awaitConsumer("s")
	p.Committed(r.commit(1))
	require.Equal(t, r.want()[5:], s.take(r, 1))
	require.NoError(t, r.js.DeleteConsumer(t.Context(), ns.EventStream(), "s"))
	p.Committed(r.commit(1))
	require.Equal(t, r.want()[5:], s.take(r, 2), "what came since it began")
	s.stop()
	for _, newOnly := range []bool{true, false} { // whatever the program asks for now
		p.Committed(r.commit(1))
		s = r.subscribe(eventstream.Subscription{Name: "s", NewOnly: newOnly}, nil)
		want := r.want()
		require.Equal(t, want[len(want)-1:], s.take(r, 1))
		s.stop()
		require.NoError(t, <-s.ended)
	}
}

func TestASubscriptionEndsWithItsConnection(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.published(3)
	s := r.subscribe(eventstream.Subscription{Name: "s"}, nil)
	s.take(r, 3)
	s.nc.Close()
	require.ErrorContains(t, <-s.ended, "connection closed")
}

// awaitConsumer waits until the named consumer exists and has no event in hand.
func (r *rig) awaitConsumer(name string) {
	r.Helper()
	require.Eventually(r, func() bool {
		consumer, err := r.js.Consumer(r.Context(), ns.EventStream(), name)
		return err == nil && consumer.CachedInfo().NumAckPending == 0
	}, 20*time.Second, time.Millisecond)
}

// A server that is silent on an open connection does not end a subscription either.
func TestASubscriptionSurvivesASilentServer(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.published(3)
	line := newLine(t, r.server.URL())
	nc, err := nats.Connect(line.url, nats.MaxReconnects(-1))
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	logged := make(chan string, 1)
	s := r.subscribeOn(nc, eventstream.Subscription{Name: "s", Logger: slog.New(warnings{texts: logged})}, nil)
	s.take(r, 3)
	r.awaitConsumer("s")
	line.gate.Lock()
	text := <-logged
	p.Committed(r.commit(3))
	line.gate.Unlock()
	require.Contains(t, text, "no heartbeat received")
	require.Equal(t, r.want()[3:], s.take(r, 3))
}

// line is a connection to a server that can fall silent.
type line struct {
	url  string
	gate sync.RWMutex // nothing passes while it is locked
}

func newLine(t *testing.T, server string) *line {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	l := &line{url: "nats://" + listener.Addr().String()}
	var group sync.WaitGroup
	group.Go(func() {
		for {
			from, err := listener.Accept()
			if err != nil {
				return
			}
			to, err := net.Dial("tcp", strings.TrimPrefix(server, "nats://"))
			if err != nil {
				_ = from.Close()
				continue
			}
			for _, pair := range [][2]net.Conn{{from, to}, {to, from}} {
				group.Go(func() { l.pass(pair[0], pair[1]) })
			}
		}
	})
	t.Cleanup(func() { _ = listener.Close(); group.Wait() })
	return l
}

func (l *line) pass(from, to net.Conn) {
	defer from.Close()
	defer to.Close()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		l.gate.RLock()
		_, err = to.Write(buffer[:n])
		l.gate.RUnlock()
		if err != nil {
			return
		}
	}
}
