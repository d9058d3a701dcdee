package client_test

import (
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/maestro-es/maestro/client"
	"github.com/maestro-es/maestro/internal/localnats"
	"github.com/maestro-es/maestro/internal/wire"
	"github.com/maestro-es/maestro/store"
)

// This test sets OpenTelemetry's global provider, so it does not run in parallel with other tests.
func TestCommandsCarryTheTrace(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	otel.SetTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)))
	defer otel.SetTracerProvider(noop.NewTracerProvider())

	w, c := newWorker(t, localnats.ForTest(t), client.Options{})
	_, err := c.Send(t.Context(), increment("a"))
	require.NoError(t, err)
	_, err = c.Import(t.Context(), increments(1), client.ImportOptions{})
	require.NoError(t, err)
	requested := make(chan string, 1)
	w.serve(t, doIncrement, func(m *nats.Msg) *nats.Msg {
		requested <- m.Header.Get(wire.HeaderTraceparent)
		return answerWith(t, store.Outcome{Status: store.Committed})
	})
	_, err = c.Request(t.Context(), increment("a"))
	require.NoError(t, err)
	_, err = c.Send(t.Context(), client.Command{})
	require.Error(t, err)

	ended := spans.Ended()
	require.Len(t, ended, 5)
	stored := w.stored(t)
	for i, want := range []struct {
		name, traceparent string
		kind              trace.SpanKind
	}{
		{"send maestro.cmd.counter.{id}.increment", stored[0].header.Get(wire.HeaderTraceparent), trace.SpanKindProducer},
		{"create maestro.cmd.counter.{id}.increment", stored[1].header.Get(wire.HeaderTraceparent), trace.SpanKindProducer},
		{"import", "", trace.SpanKindInternal},
		{"request maestro.do.counter.{id}.increment", <-requested, trace.SpanKindClient},
	} {
		span := ended[i]
		require.Equal(t, want.name, span.Name())
		require.Equal(t, want.kind, span.SpanKind())
		if at := span.SpanContext(); want.traceparent != "" {
			require.Equal(t, want.traceparent, "00-"+at.TraceID().String()+"-"+at.SpanID().String()+"-01")
		}
	}
	create, imported := ended[1], ended[2]
	require.False(t, create.Parent().IsValid(), "a command of an import has a trace of its own")
	require.Equal(t, imported.SpanContext().SpanID(), create.Links()[0].SpanContext.SpanID())
	require.Contains(t, ended[4].Status().Description, "aggregate name")
}
