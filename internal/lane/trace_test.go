package lane_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/maestro-es/maestro/internal/lane"
	"github.com/maestro-es/maestro/protocol"
	"github.com/maestro-es/maestro/store"
)

// recorder keeps the spans of commands that have a span. It sets OpenTelemetry's global provider.
// That is safe because the commands of other tests have no spans.
func recorder() (spans *tracetest.SpanRecorder, record func(*lane.Command) *lane.Command) {
	spans = tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
	otel.SetTracerProvider(provider)
	return spans, func(c *lane.Command) *lane.Command {
		_, c.Span = provider.Tracer("test").Start(context.Background(), c.ID)
		return c
	}
}

func TestBatchLinksTheCommandsThatAreRecorded(t *testing.T) {
	spans, record := recorder()
	r := newRig(t, store.NewMemory(1)).run()
	r.one(add("a", "before", 1))
	require.Empty(t, spans.Ended(), "nobody records")

	first, third := record(add("a", "first", 1)), record(do("a", "third", "fail"))
	r.batch(first, add("a", "second", 1), record(add("a", "before", 1)), third) // a duplicate: evaluated again
	r.stop()
	<-r.stopped // spans end after the answers
	byName := map[string][]sdktrace.ReadOnlySpan{}
	for _, s := range spans.Ended() {
		byName[s.Name()] = append(byName[s.Name()], s)
	}
	require.Len(t, byName["batch"], 2)
	require.Len(t, byName["evaluate"], 6, "three commands, twice")
	require.Len(t, byName["queued"], 3)
	refused, made := byName["batch"][0], byName["batch"][1]
	require.Contains(t, attributesOf(refused), "duplicate")
	require.NotContains(t, attributesOf(made), "duplicate")
	for _, batch := range byName["batch"] {
		require.Len(t, batch.Links(), 3)
		require.Equal(t, first.Span.SpanContext(), batch.Links()[0].SpanContext)
		require.False(t, batch.Parent().IsValid())
	}
	require.Equal(t, made.SpanContext().SpanID(), byName["commit"][1].Parent().SpanID())
	require.Len(t, byName["first"][0].Links(), 2)
	require.Contains(t, attributesOf(byName["third"][0]), protocol.CodeHandlerFailed)
}

func TestSpanOfACommandThatTheLaneDoesNotComeToEnds(t *testing.T) {
	spans, record := recorder()
	r := newRig(t, store.NewMemory(1)).run()
	r.stop()
	<-r.stopped
	_ = r.Offer(record(add("a", "late", 1))) // it is refused now or answered later
	_ = r.Submit(t.Context(), record(at(1, add("a", "later", 1))))
	require.Len(t, spans.Ended(), 2)
	for _, s := range spans.Ended() {
		require.Equal(t, "abandoned", s.Events()[0].Name)
	}
}

func attributesOf(s sdktrace.ReadOnlySpan) (values []string) {
	for _, a := range s.Attributes() {
		values = append(values, a.Value.String())
	}
	return values
}
