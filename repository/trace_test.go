package repository_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace"

	"github.com/maestro-es/maestro/internal/wire"
	"github.com/maestro-es/maestro/repository"
	"github.com/maestro-es/maestro/store"
)

func TestEventsBelongToTheTraceOfTheCaller(t *testing.T) {
	eachStore(t, func(t *testing.T, s store.Store) {
		caller := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled})
		_, err := accounts(t, s).Evaluate(trace.ContextWithSpanContext(t.Context(), caller), "1", Deposit{Amount: 3}, repository.Evaluation{})
		require.NoError(t, err)
		events, err := s.Events(t.Context(), wire.Partition("account", "1", 4), store.Key{Type: "account", ID: "1"}, 0, 1)
		require.NoError(t, err)
		require.Equal(t, "00-01000000000000000000000000000000-0200000000000000-01", events[0].Metadata.Traceparent)
	})
}
