package observe

import (
	"context"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
)

func TestTraceFromPublisherToSubscriber(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.worker("worker")
	s.subscriber()
	s.publisher("send", "counter", "42", "increment", `{"by": 1}`, "--id", "c-1", "--correlation-id", "order-7")

	s.await(t, "of the subscriber", named("subscriber", "process"))
	s.await(t, "of the publication", named("worker", "publish"))
	process := s.await(t, "of the command", named("worker", "process"))
	commit := s.await(t, "of the commit", named("worker", "commit"))
	batch := s.await(t, "of the batch", named("worker", "batch"))
	send := s.await(t, "of the publisher", named("publisher", "send"))
	require.Empty(t, send.ParentSpanId)
	require.Equal(t, `publisher producer: send maestro.cmd.counter.{id}.increment
  worker consumer: process maestro.cmd.counter.{id}.increment
    worker internal: queued
    worker internal: evaluate
    worker producer: publish maestro.evt.{partition}.counter.{id}.incremented
      subscriber consumer: process maestro.evt.{partition}.counter.{id}.incremented
`, s.tree(send, never))
	require.Empty(t, batch.ParentSpanId, "a batch belongs to none of its commands")
	require.Equal(t, `worker internal: batch
  worker client: pool.acquire
  worker client: SELECT
  worker internal: commit
    worker client: pool.acquire
    worker client: batch start
      worker client: SELECT
      worker client: INSERT
      worker client: INSERT
`, s.tree(batch, ofTheConnection))
	require.Equal(t, batch.TraceId, commit.TraceId)
	require.Equal(t, [][]byte{process.SpanId}, linked(batch))
	require.Equal(t, [][]byte{batch.SpanId}, linked(process))
	require.NotEqual(t, batch.TraceId, process.TraceId)

	t.Run("attributes", func(t *testing.T) { checkAttributes(t, s, send, process) })
	t.Run("the log has the trace", func(t *testing.T) {
		info, err := s.js.Stream(t.Context(), "MAESTRO_EVENTS")
		require.NoError(t, err)
		last, err := info.GetLastMsgForSubject(t.Context(), "maestro.evt.*.counter.42.incremented")
		require.NoError(t, err)
		require.Contains(t, last.Header.Get("traceparent"), hexOf(send.TraceId))
		conn, err := pgx.Connect(t.Context(), s.database)
		require.NoError(t, err)
		defer func() { _ = conn.Close(context.Background()) }()
		var stored string
		require.NoError(t, conn.QueryRow(t.Context(), `select metadata->>'traceparent' from maestro.events`).Scan(&stored))
		require.Contains(t, stored, hexOf(send.TraceId))
	})
}

func checkAttributes(t *testing.T, s *system, send, process span) {
	t.Helper()
	sent, processed := send.attributes(), process.attributes()
	for _, of := range []map[string]string{sent, processed} {
		require.Equal(t, "nats", of["messaging.system"])
		require.Equal(t, "c-1", of["messaging.message.id"])
		require.Equal(t, "maestro.cmd.counter.{id}.increment", of["messaging.destination.template"])
		require.Equal(t, "42", of["maestro.aggregate_id"])
	}
	require.Equal(t, "send", sent["messaging.operation.type"])
	require.Equal(t, "maestro.cmd.counter.42.increment", sent["messaging.destination.name"])
	require.Equal(t, "process", processed["messaging.operation.type"])
	require.Equal(t, "order-7", processed["messaging.message.conversation_id"])
	require.Equal(t, "committed", processed["maestro.outcome"])
	require.Equal(t, "1", processed["maestro.sequence"])

	publish := s.await(t, "publish", named("worker", "publish"))
	published := publish.attributes()
	require.Equal(t, "counter.42.1", published["messaging.message.id"])
	require.Equal(t, processed["messaging.destination.partition.id"], published["messaging.destination.partition.id"])
	handled := s.await(t, "process", named("subscriber", "process")).attributes()
	require.Equal(t, "observer", handled["messaging.consumer.group.name"])
	require.Equal(t, "c-1", handled["maestro.command_id"])

	inserted := s.await(t, "insert", named("worker", "INSERT")).attributes()
	require.Equal(t, "postgresql", inserted["db.system.name"])
	require.Contains(t, inserted["db.query.text"], "insert into")
}

// The worker that commits is killed before it can publish. Another worker publishes the event, and
// the event's span is in the command's trace.
func TestTraceGoesOnInTheWorkerThatTakesOver(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	first := s.worker("first")
	s.subscriber()
	var config jetstream.StreamConfig
	require.Eventually(t, func() bool { // nats-server does not like an update while the subscriber makes its consumer
		stream, err := s.js.Stream(t.Context(), "MAESTRO_EVENTS")
		if err != nil {
			return false
		}
		config = stream.CachedInfo().Config
		return stream.CachedInfo().State.Consumers > 0
	}, 20*time.Second, time.Millisecond)
	config.Subjects = []string{"maestro.fence.*"} // the stream takes no events until a worker starts and repairs it
	_, err := s.js.UpdateStream(t.Context(), config)
	require.NoError(t, err)

	require.Contains(t, s.publisher("request", "counter", "42", "increment", "--json"), `"committed"`)
	s.await(t, "of the command", named("first", "process"))
	first.kill()
	s.worker("second")

	s.await(t, "of the subscriber", named("subscriber", "process"))
	s.await(t, "of the publication", named("second", "publish"))
	request := s.await(t, "of the publisher", named("publisher", "request"))
	require.Equal(t, `publisher client: request maestro.do.counter.{id}.increment
  first server: process maestro.do.counter.{id}.increment
    first internal: queued
    first internal: evaluate
    second producer: publish maestro.evt.{partition}.counter.{id}.incremented
      subscriber consumer: process maestro.evt.{partition}.counter.{id}.incremented
`, s.tree(request, func(s span) bool { return s.Status.GetCode() == otlp.Status_STATUS_CODE_ERROR }))
	require.Empty(t, s.publisherFailures("second"))
}

// publisherFailures returns the failed publications of a worker.
func (s *system) publisherFailures(worker string) (failed []span) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, of := range s.spans {
		if of.process == worker && strings.HasPrefix(of.Name, "publish ") && of.Status.GetCode() == otlp.Status_STATUS_CODE_ERROR {
			failed = append(failed, of)
		}
	}
	return failed
}

// A trace that the sender does not record is recorded by nobody after it. A batch is recorded if a
// command in it is.
func TestSamplingIsTheSendersDecision(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.worker("worker", "OTEL_TRACES_SAMPLER=parentbased_always_off")
	s.start("publisher", "publisher", []string{"request", "counter", "silent", "increment"}, "OTEL_TRACES_SAMPLER=always_off").says("committed")
	s.publisher("request", "counter", "loud", "increment")

	s.await(t, "of the commit", named("worker", "commit"))
	s.await(t, "of the batch", named("worker", "batch"))
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, of := range s.spans {
		require.NotEqual(t, "silent", of.attributes()["maestro.aggregate_id"])
	}
}

// named finds a span without an error, by its process and by its name or the part of the name
// before the subject.
func named(process, name string) func(span) bool {
	return func(s span) bool {
		return s.process == process && (s.Name == name || strings.HasPrefix(s.Name, name+" maestro.")) && s.Status.GetCode() != otlp.Status_STATUS_CODE_ERROR
	}
}

func linked(s span) (spans [][]byte) {
	for _, l := range s.Links {
		spans = append(spans, l.SpanId)
	}
	return spans
}

func never(span) bool { return false }

// ofTheConnection tells whether a span happens only once on a connection.
func ofTheConnection(s span) bool {
	_, prepares := s.attributes()["pgx.prepare_stmt.name"]
	return s.Name == "connect" || prepares
}

func hexOf(id []byte) string { return hex.EncodeToString(id) }
