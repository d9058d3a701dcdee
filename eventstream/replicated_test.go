package eventstream_test

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/eventstream"
	"github.com/maestro-es/maestro/store"
)

// The tests use the same three servers, one after the other.
func TestAReplicatedStream(t *testing.T) {
	t.Parallel()
	c := startCluster(t, limits)
	for _, test := range []struct {
		name string
		run  func(*testing.T, cluster)
	}{
		{"has the log whoever leads it", followsItsLeaders},
		{"takes nothing of a unit that was held back", refusesWhatWasHeldBack},
		{"believes no server that was replaced", believesNoFormerLeader},
		{"waits while too many batches are unfinished", waitsForOthers},
		{"of an older version is brought up to date", isBroughtUpToDate},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, c) })
	}
}

func followsItsLeaders(t *testing.T, c cluster) {
	r := c.rig(t)
	p := r.run(r.publisher(r.acquire()))
	for _, n := range []int{1, 2, 700, 1, 3} { // 700 are more than the servers take in a batch
		p.Committed(r.commit(n))
	}
	r.flush(p)
	r.requireEqual()
	for range 3 {
		p.Committed(r.commit(200))
		require.Eventually(t, func() bool { // nobody answers while there is no leader
			_, err := r.nc.Request("$JS.API.STREAM.LEADER.STEPDOWN."+ns.EventStream(), nil, time.Second)
			return err == nil
		}, time.Minute, time.Millisecond)
		p.Committed(r.commit(200))
		p.Committed(r.commit(1))
	}
	r.flush(p)
	r.requireEqual()
}

// A publisher is cut off or frozen in the middle of a unit, and replaced. It comes back when
// nobody remembers the ids of its messages.
func refusesWhatWasHeldBack(t *testing.T, c cluster) {
	for name, held := range map[string]struct{ events, pass int }{
		"in its middle":          {10, 4},
		"before its first event": {10, 0},
		"before its last event":  {10, 9},
		"of one event":           {1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := c.rig(t)
			link := c.link(t, 1+held.pass)
			nc := c.connect(t, link.url())
			former := r.run(eventstream.NewPublisher(r.jetStream(nc), ns, r.config, r.log, r.acquire(), silence))
			former.Committed(r.commit(1))
			r.flush(former)
			former.Committed(r.commit(held.events))
			<-link.held

			next := r.run(r.publisher(r.acquire()))
			r.flush(next)
			r.requireEqual()
			r.forget()

			link.release()
			_, err := r.jetStream(nc).Publish(t.Context(), ns.Fence(1), nil) // all messages sent before this one are handled
			require.NoError(t, err)
			r.requireEqual()
			require.ErrorIs(t, <-former.ended, store.ErrFenced)
			next.Committed(r.commit(2))
			r.flush(next)
			r.requireEqual()
		})
	}
}

// A former leader of the stream that does not know yet that it was replaced answers with the
// messages that it has.
func believesNoFormerLeader(t *testing.T, c cluster) {
	const reading = "$JS.API.STREAM.MSG.GET.MAESTRO_EVENTS"
	r := c.rig(t)
	p := r.run(r.publisher(r.acquire()))
	p.Committed(r.commit(1))
	r.flush(p)
	old, err := r.nc.Request(reading, fmt.Appendf(nil, `{"last_by_subj":%q}`, ns.EventsOf(0)), time.Minute)
	require.NoError(t, err)
	p.Committed(r.commit(3))
	r.flush(p)
	p.stop()
	r.forget()

	require.NoError(t, c[0].GlobalAccount().AddMapping(reading, "former"))
	asked, err := r.nc.Subscribe("former", func(m *nats.Msg) {
		c[0].GlobalAccount().RemoveMapping(reading)
		_ = m.Respond(old.Data)
	})
	require.NoError(t, err)
	require.NoError(t, r.nc.Flush())
	next := r.run(r.publisher(r.acquire()))
	r.flush(next)
	next.Committed(r.commit(2))
	r.flush(next)
	answered, err := asked.Delivered()
	require.NoError(t, err)
	require.EqualValues(t, 1, answered)
	r.requireEqual()
}

// Workers that were killed leave unfinished batches behind.
func waitsForOthers(t *testing.T, c cluster) {
	r := c.rig(t)
	logged := make(chan string, 1)
	p := r.run(r.publisherOf(r.log, r.acquire(), slog.New(warnings{texts: logged})))
	p.Committed(r.commit(1))
	r.flush(p)
	for n := range limits.MaxBatchInflightPerStream {
		answer, err := r.nc.RequestMsg(&nats.Msg{Subject: ns.Fence(1), Header: nats.Header{"Nats-Batch-Id": {fmt.Sprint(n)},
			"Nats-Batch-Sequence": {"1"}}}, time.Minute)
		require.NoError(t, err)
		require.Empty(t, string(answer.Data))
	}
	p.Committed(r.commit(5))
	r.flush(p)
	r.requireEqual()
	require.Empty(t, logged)
}

func isBroughtUpToDate(t *testing.T, c cluster) {
	r := c.rig(t)
	stream, err := r.js.Stream(t.Context(), ns.EventStream())
	require.NoError(t, err)
	config := stream.CachedInfo().Config
	config.AllowAtomicPublish = false
	_, err = r.js.UpdateStream(t.Context(), config)
	require.NoError(t, err)
	p := r.run(r.publisher(r.acquire()))
	p.Committed(r.commit(5))
	r.flush(p)
	r.requireEqual()
}
