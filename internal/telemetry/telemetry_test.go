package telemetry

import (
	"bytes"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace"
)

const (
	sampled   = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	unsampled = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
)

func TestSampledSaysWhatTheHeaderSays(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]bool{
		"": false, "nonsense": false, unsampled: false, sampled: true,
		unsampled[:len(unsampled)-2] + "02": false, // random, a flag of version 2 of the specification
		unsampled[:len(unsampled)-2] + "03": true,
	} {
		require.Equal(t, want, Sampled(header), header)
		require.Equal(t, want, trace.SpanContextFromContext(Extract(t.Context(), header, "")).IsSampled(), header)
	}
}

func TestContextGoesThroughHeaders(t *testing.T) {
	t.Parallel()
	parent, state := Inject(Extract(t.Context(), sampled, "vendor=1"))
	require.Equal(t, sampled, parent)
	require.Equal(t, "vendor=1", state)
	parent, state = Inject(Extract(t.Context(), "nonsense", "vendor=1"))
	require.Empty(t, parent+state)
}

func TestLinesOfATraceNameIt(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	logger := slog.New(LogHandler(slog.NewTextHandler(&out, nil))).With("worker", "w").WithGroup("g")
	logger.Info("outside")
	logger.InfoContext(Extract(t.Context(), sampled, ""), "inside")
	outside, inside, _ := bytes.Cut(out.Bytes(), []byte("\n"))
	require.NotContains(t, string(outside), "trace_id")
	require.Contains(t, string(inside), "trace_id=0af7651916cd43dd8448eb211c80319c")
	require.Contains(t, string(inside), "span_id=b7ad6b7169203331")
}
