package client_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/maestro-es/maestro/client"
	"github.com/maestro-es/maestro/internal/localnats"
	"github.com/maestro-es/maestro/internal/wire"
	"github.com/maestro-es/maestro/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const ns = wire.Namespace("maestro")

// handled is a command as it reached the worker.
type handled struct {
	subject string
	header  nats.Header
	body    string
}

func (h handled) id() string { return h.header.Get(wire.HeaderCommandID) }

// worker plays a worker's part of the protocol. It handles durable commands in the order of the
// stream, each once, and answers them at Maestro-Reply. It answers a repetition with the first
// outcome, marked as a duplicate.
type worker struct {
	nc *nats.Conn
	js jetstream.JetStream
	// decide makes the outcome of a command; nil commits. answers tells whether the outcome is sent;
	// nil sends.
	decide  func(handled) store.Outcome
	answers func(handled, store.Outcome) bool

	mu       sync.Mutex
	receipts map[string]store.Outcome
	log      []handled // first occurrences
	seen     int
	changed  *sync.Cond
}

// newWorker makes a worker with a command stream, and a client on a connection of its own. The
// worker handles nothing yet.
func newWorker(t testing.TB, s *localnats.Server, o client.Options) (*worker, *client.Client) {
	t.Helper()
	w := &worker{nc: s.Connect(t), receipts: map[string]store.Outcome{}}
	w.changed = sync.NewCond(&w.mu)
	var err error
	w.js, err = jetstream.New(w.nc)
	require.NoError(t, err)
	_, err = w.js.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: ns.CommandStream(), Subjects: []string{ns.Commands()}, AllowBatchPublish: true, Discard: jetstream.DiscardNew,
		SubjectTransform: &jetstream.SubjectTransformConfig{Source: ns.Commands(), Destination: ns.CommandTransform(8)},
	})
	require.NoError(t, err)
	c, err := client.New(s.Connect(t), o)
	require.NoError(t, err)
	return w, c
}

// run handles the durable commands until the test ends.
func (w *worker) run(t *testing.T) *worker {
	t.Helper()
	consumer, err := w.js.OrderedConsumer(t.Context(), ns.CommandStream(), jetstream.OrderedConsumerConfig{})
	require.NoError(t, err)
	consuming, err := consumer.Consume(func(m jetstream.Msg) {
		w.handle(handled{m.Subject(), m.Headers(), string(m.Data())}, m.Headers().Get(wire.HeaderReply))
	})
	require.NoError(t, err)
	t.Cleanup(func() {
		consuming.Stop()
		<-consuming.Closed()
	})
	return w
}

// serve answers requests at a subject with the messages that reply returns.
func (w *worker) serve(t *testing.T, subject string, reply func(*nats.Msg) *nats.Msg) {
	t.Helper()
	sub, err := w.nc.Subscribe(subject, func(m *nats.Msg) {
		if answer := reply(m); answer != nil {
			_ = m.RespondMsg(answer)
		}
	})
	require.NoError(t, err)
	require.NoError(t, w.nc.Flush())
	t.Cleanup(func() { _ = sub.Unsubscribe() })
}

func (w *worker) handle(h handled, reply string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen++
	w.changed.Broadcast()
	key := strings.Join(strings.Split(h.subject, ".")[3:5], ".") + " " + h.id()
	o, duplicate := w.receipts[key]
	if duplicate {
		o.Duplicate = true
	} else {
		o = w.outcome(h)
		w.receipts[key] = o
		w.log = append(w.log, h)
	}
	if reply != "" && (w.answers == nil || w.answers(h, o)) {
		body, _ := json.Marshal(o)
		_ = w.nc.Publish(reply, body)
	}
}

func (w *worker) outcome(h handled) store.Outcome {
	o := store.Outcome{Status: store.Committed}
	if w.decide != nil {
		o = w.decide(h)
	}
	tokens := strings.Split(h.subject, ".")
	o.Aggregate, o.ID, o.CommandID = tokens[3], tokens[4], h.id()
	return o
}

// handledIDs returns the ids of the commands in the order in which they were first seen.
func (w *worker) handledIDs() (ids []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, h := range w.log {
		ids = append(ids, h.id())
	}
	return ids
}

// stored reads the whole command stream.
func (w *worker) stored(t *testing.T) (all []handled) {
	t.Helper()
	stream, err := w.js.Stream(t.Context(), ns.CommandStream())
	require.NoError(t, err)
	last := stream.CachedInfo().State.LastSeq
	if last == 0 {
		return nil
	}
	consumer, err := stream.OrderedConsumer(t.Context(), jetstream.OrderedConsumerConfig{})
	require.NoError(t, err)
	messages, err := consumer.Messages()
	require.NoError(t, err)
	defer messages.Stop()
	for {
		m, err := messages.Next()
		require.NoError(t, err)
		all = append(all, handled{m.Subject(), m.Headers(), string(m.Data())})
		if meta, err := m.Metadata(); err == nil && meta.Sequence.Stream == last {
			return all
		}
	}
}

func answerWith(t *testing.T, answer any, headers ...string) *nats.Msg {
	t.Helper()
	body, err := json.Marshal(answer)
	require.NoError(t, err)
	msg := &nats.Msg{Data: body, Header: nats.Header{}}
	for i := 0; i < len(headers); i += 2 {
		msg.Header.Set(headers[i], headers[i+1])
	}
	return msg
}

// increments yields n commands for a few counters, with ids c-1, c-2 ...
func increments(n int) func(yield func(client.Command, error) bool) {
	return func(yield func(client.Command, error) bool) {
		for i := 1; i <= n; i++ {
			cmd := client.Command{ID: fmt.Sprintf("c-%d", i), Aggregate: "counter", AggregateID: fmt.Sprint(i % 7),
				Name: "increment", Data: map[string]int{"by": i}}
			if !yield(cmd, nil) {
				return
			}
		}
	}
}

func increment(id string) client.Command {
	return client.Command{ID: id, Aggregate: "counter", AggregateID: "42", Name: "increment", Data: json.RawMessage(`{"by":1}`)}
}
