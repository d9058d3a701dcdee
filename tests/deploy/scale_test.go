package deploy

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
)

// A backlog that waits without a worker wakes one worker, and this leads to more workers. Workers
// are removed when fewer commands come, and all of them when none come. The next command wakes one
// worker again. Only the figure that the ScaledObject reads decides.
func TestTheWorkersFollowTheBacklog(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	scaled := find[*scaledObject](build(t, "overlays/keda"))[0]
	scaler := newAutoscaler(t, scaled)
	first := c.start(programs) // makes the streams, see initialCooldownPeriod
	first.ready()
	first.stop()

	load, workers, path := c.load(), []*replica(nil), []int{0}
	look := time.NewTicker(100 * time.Millisecond)
	defer look.Stop()
	for _, phase := range []struct{ commands, workers int }{
		{int(3.6 * scaler.target), 4}, // more than three can have
		{20, 1},                       // little, but always something
		{0, 0},                        // nothing
		{2, 1},                        // the last handled command, which stays, and one more
	} {
		ends := time.After(2 * patience)
		for len(workers) != phase.workers {
			load.fill(phase.commands)
			value, active := figure(t, scaled, c.broker)
			workers = c.scale(workers, scaler.look(len(workers), value, active))
			if len(workers) != path[len(path)-1] {
				path = append(path, len(workers))
			}
			select {
			case <-look.C:
			case <-ends:
				t.Fatalf("the figure is %v, there are %d workers and not %d", value, len(workers), phase.workers)
			}
		}
	}
	c.rest()
	t.Logf("workers: %v, for %d commands", path, len(load.sent))
	four := slices.Index(path, 4)
	require.Equal(t, []int{0, 1}, path[:2])
	require.True(t, slices.IsSorted(path[:four]), "%v", path)
	require.Equal(t, []int{4, 3, 2, 1, 0, 1}, path[four:])
	c.exactlyOnce(load.sent)
}

// scale starts workers, or ends the last ones, until the wanted number runs.
func (c *cluster) scale(workers []*replica, to int) []*replica {
	c.Helper()
	from := len(workers)
	for len(workers) < to {
		workers = append(workers, c.start(programs))
	}
	for _, w := range workers[min(from, to):] {
		if from < to {
			w.ready()
		} else {
			w.stop()
		}
	}
	return workers[:to]
}

// load stores durable commands for many counters and does not wait for their outcomes.
type load struct {
	*cluster
	js   jetstream.JetStream
	sent []string
}

func (c *cluster) load() *load {
	c.Helper()
	js, err := jetstream.New(dial(c.T, identity(c.broker, "publisher")), jetstream.WithDefaultTimeout(patience),
		jetstream.WithPublishAsyncErrHandler(func(_ jetstream.JetStream, m *nats.Msg, err error) { c.Errorf("%s: %v", m.Subject, err) }))
	require.NoError(c, err)
	return &load{cluster: c, js: js}
}

// fill sends commands until the command stream has that many.
func (l *load) fill(commands int) {
	l.Helper()
	stream, err := l.js.Stream(l.Context(), "MAESTRO_COMMANDS")
	require.NoError(l, err)
	l.send(commands - int(stream.CachedInfo().State.Msgs))
}

// send sends that many commands.
func (l *load) send(commands int) {
	l.Helper()
	const counters = 500
	for range commands {
		id := fmt.Sprintf("load-%06d", len(l.sent))
		_, err := l.js.PublishMsgAsync(&nats.Msg{Subject: fmt.Sprintf("maestro.cmd.counter.%d.increment", len(l.sent)%counters),
			Header: nats.Header{"Maestro-Command-Id": {id}}, Data: []byte(`{"by":1}`)}, jetstream.WithStallWait(patience))
		require.NoError(l, err)
		l.sent = append(l.sent, id)
	}
	select {
	case <-l.js.PublishAsyncComplete():
	case <-time.After(patience):
		l.Fatal("the command stream does not answer")
	}
}

// rest waits until all durable commands are handled and the stream is trimmed.
func (c *cluster) rest() {
	c.Helper()
	trimmed(c.T, identity(c.broker, "worker"))
}
