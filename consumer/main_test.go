package consumer

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/eventstream"
	"github.com/maestro-es/maestro/internal/hlc"
	"github.com/maestro-es/maestro/internal/lane"
	"github.com/maestro-es/maestro/internal/localnats"
	"github.com/maestro-es/maestro/internal/ownership"
	"github.com/maestro-es/maestro/internal/wire"
	"github.com/maestro-es/maestro/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const ns = wire.Namespace("maestro")

// Box counts what was put into it, and holds the last thing.
type Box struct {
	Count int    `json:"count"`
	Holds string `json:"holds,omitempty"`
}

// Put puts in a thing, or x, Size times. Refuse refuses with a message of Size letters.
type (
	Put struct {
		Thing string `json:"thing"`
		Size  int    `json:"size"`
	}
	Refuse struct{ Size int }
	WasPut struct{ Thing string }
)

func (c Put) Decide(aggregate.Root[Box]) ([]aggregate.Event[Box], error) {
	return []aggregate.Event[Box]{WasPut{Thing: c.Thing + strings.Repeat("x", c.Size)}}, nil
}

func (c Refuse) Decide(aggregate.Root[Box]) ([]aggregate.Event[Box], error) {
	return nil, aggregate.Reject("unwanted", "no: %s", strings.Repeat("x", c.Size))
}

func (e WasPut) Evolve(b Box) Box { return Box{Count: b.Count + 1, Holds: b.Holds + e.Thing} }

var box = aggregate.Define("box", aggregate.Handles[Put]("put"), aggregate.Handles[Refuse]("refuse"), aggregate.Emits[WasPut]("was_put"))

// broker is a server with a client's connection.
type broker struct {
	*testing.T
	server *localnats.Server
	nc     *nats.Conn
	js     jetstream.JetStream
}

func newBroker(t *testing.T) *broker {
	t.Helper()
	return brokerOn(t, localnats.ForTest(t))
}

// brokerAllowing returns a broker whose server allows messages up to a size in bytes.
func brokerAllowing(t *testing.T, maxPayload int32) *broker {
	t.Helper()
	server, err := localnats.Start(localnats.Options{Dir: t.TempDir(), MaxPayload: maxPayload})
	require.NoError(t, err)
	t.Cleanup(server.Stop)
	return brokerOn(t, server)
}

func brokerOn(t *testing.T, server *localnats.Server) *broker {
	t.Helper()
	nc := server.Connect(t)
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	return &broker{T: t, server: server, nc: nc, js: js}
}

// newConsumer makes a consumer with its own connection, like a worker.
func (b *broker) newConsumer(s Store, log eventstream.Log, change ...func(*Config)) *Consumer {
	b.Helper()
	nc := b.server.Connect(b)
	js, err := jetstream.New(nc)
	require.NoError(b, err)
	_, err = eventstream.Ensure(b.Context(), js, ns, eventstream.StreamConfig{})
	require.NoError(b, err)
	logger := slog.New(slog.DiscardHandler)
	c := Config{NATS: nc, JetStream: js, Namespace: ns, Store: s, Worker: b.Name(), Logger: logger,
		Lane: lane.Config{Types: map[string]aggregate.Type{"box": box}, Clock: hlc.New(), Logger: logger,
			Memory: lane.NewMemory(1<<20, 0), MaxBatch: 8, MaxEventBytes: func() int { return int(nc.MaxPayload()) - 8<<10 }},
		Publisher: func(at store.Partition) ownership.Publisher {
			return eventstream.NewPublisher(js, ns, eventstream.StreamConfig{}, log, at, logger)
		}}
	for _, f := range change {
		f(&c)
	}
	return New(c)
}

// start runs a consumer that owns everything, until stop is called or the test ends.
func (b *broker) start(c *Consumer) (stop func()) {
	b.Helper()
	stop = b.join(c)
	require.Eventually(b, func() bool { return c.Ready() == nil && c.Owned() == c.Store.Partitions() }, 20*time.Second, time.Millisecond)
	return stop
}

// join runs a consumer until stop is called or the test ends.
func (b *broker) join(c *Consumer) (stop func()) {
	b.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- c.Run(ctx)
		close(ended)
	}()
	stop = func() {
		cancel()
		if err, first := <-ended; first && err != nil {
			b.Errorf("the consumer ended with %v", err)
		}
	}
	b.Cleanup(stop)
	return stop
}

// run runs a consumer on a new store.
func (b *broker) run() *store.Memory {
	b.Helper()
	s := store.NewMemory(4)
	b.start(b.newConsumer(s, s))
	return s
}

// answer is the answer to a request.
type answer struct {
	store.Outcome
	headers nats.Header
}

func (a answer) status() string {
	s := string(a.Status)
	if a.Error != nil {
		s += " " + a.Error.Code
	}
	return s
}

func (b *broker) read(m *nats.Msg) answer {
	b.Helper()
	a := answer{headers: m.Header}
	require.NoError(b, json.Unmarshal(m.Data, &a.Outcome), "%s", m.Data)
	return a
}

// ask asks for the outcome of a command, or something else, and returns the answer.
func (b *broker) ask(subject, body string, headers ...string) answer {
	b.Helper()
	m, err := b.nc.RequestMsg(&nats.Msg{Subject: subject, Data: []byte(body), Header: localnats.Header(headers...)}, 20*time.Second)
	require.NoError(b, err, subject)
	return b.read(m)
}

// send stores a durable command and returns a subscription to its outcome.
func (b *broker) send(id, name, body string, headers ...string) *nats.Subscription {
	b.Helper()
	inbox := b.nc.NewInbox()
	sub, err := b.nc.SubscribeSync(inbox)
	require.NoError(b, err)
	h := localnats.Header(append(headers, wire.HeaderReply, inbox)...)
	_, err = b.js.PublishMsg(b.Context(), &nats.Msg{Subject: ns.Send("box", id, name), Data: []byte(body), Header: h})
	require.NoError(b, err)
	return sub
}

// outcome waits for the outcome.
func (b *broker) outcome(sub *nats.Subscription) answer {
	b.Helper()
	m, err := sub.NextMsg(20 * time.Second)
	require.NoError(b, err)
	return b.read(m)
}

func put(thing any) string { return fmt.Sprintf(`{"thing":"%v"}`, thing) }
