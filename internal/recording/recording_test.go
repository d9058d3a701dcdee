package recording

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/maestro-es/maestro/internal/telemetry"
)

const (
	sampled   = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	unsampled = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
)

// The sampler decides as OpenTelemetry specifies. It decides on a batch as on the commands that the
// batch links.
func TestSampler(t *testing.T) {
	t.Parallel()
	recorded, silent := telemetry.Extract(t.Context(), sampled, ""), telemetry.Extract(t.Context(), unsampled, "")
	for _, c := range []struct {
		name, argument      string
		root, below, beside bool // without a parent, below a recorded one, below one that is not recorded
	}{
		{"", "", true, true, false},
		{"always_on", "", true, true, true},
		{"always_off", "", false, false, false},
		{"traceidratio", "0", false, false, false},
		{"traceidratio", "", true, true, true},
		{"parentbased_always_on", "", true, true, false},
		{"parentbased_always_off", "", false, true, false},
		{"parentbased_traceidratio", "0", false, true, false},
		{" ParentBased_TraceIDRatio ", "1", true, true, false},
	} {
		s, err := sampler(env{"OTEL_TRACES_SAMPLER": c.name, "OTEL_TRACES_SAMPLER_ARG": c.argument}.get)
		require.NoError(t, err, c.name)
		tracer := sdk.NewTracerProvider(sdk.WithSampler(s)).Tracer("")
		records := func(ctx context.Context, o ...trace.SpanStartOption) bool {
			_, span := tracer.Start(ctx, "span", o...)
			return span.IsRecording()
		}
		link := func(ctx context.Context) trace.SpanStartOption {
			return trace.WithLinks(trace.Link{SpanContext: trace.SpanContextFromContext(ctx)})
		}
		require.Equal(t, []bool{c.root, c.below, c.beside},
			[]bool{records(t.Context()), records(recorded), records(silent)}, "%+v", c)
		require.True(t, records(t.Context(), link(recorded)), "a batch of a command that is recorded: %+v", c)
		require.Equal(t, c.root, records(t.Context(), link(silent)), "%+v", c)
		require.Equal(t, c.beside, records(silent, link(recorded)), "below a parent, links do not count: %+v", c)
	}
}

func TestSamplerThatDoesNotExist(t *testing.T) {
	t.Parallel()
	_, err := sampler(env{"OTEL_TRACES_SAMPLER": "often"}.get)
	require.ErrorContains(t, err, `"often": expected always_on`)
	_, err = sampler(env{"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "10%"}.get)
	require.ErrorContains(t, err, `"10%": expected the share`)
}

func TestExporterIsThereWhereItIsAskedFor(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		env  env
		want bool
	}{
		{env{}, false},
		{env{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, true},
		{env{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1"}, true},
		{env{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "true"}, false},
		{env{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "True"}, false},
		{env{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "no"}, true},
	} {
		exporter, err := newSpanExporter(t.Context(), c.env.get)
		require.NoError(t, err)
		require.Equal(t, c.want, exporter != nil, "%v", c.env)
	}
}

type env map[string]string

func (e env) get(name string) string { return e[name] }
