package lane_test

import (
	"context"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/internal/hlc"
	"github.com/maestro-es/maestro/internal/lane"
	"github.com/maestro-es/maestro/internal/telemetry"
	"github.com/maestro-es/maestro/store"
)

const benchBatch = 64

// BenchmarkBatch handles a batch of 64 commands in memory: unobserved, with metrics, and with every
// command recorded.
//
//	go test -run '^$' -bench Batch -benchmem ./internal/lane
func BenchmarkBatch(b *testing.B) {
	b.Run("unobserved", func(b *testing.B) { benchmarkBatch(b, nil, nil) })
	otel.SetMeterProvider(metric.NewMeterProvider(metric.WithReader(metric.NewManualReader())))
	metrics, err := telemetry.NewMetrics("bench")
	require.NoError(b, err)
	b.Run("metrics", func(b *testing.B) { benchmarkBatch(b, metrics, nil) })
	traces := sdktrace.NewTracerProvider()
	otel.SetTracerProvider(traces)
	b.Run("traces", func(b *testing.B) { benchmarkBatch(b, nil, traces.Tracer("bench")) })
}

func benchmarkBatch(b *testing.B, metrics *telemetry.Metrics, tracer trace.Tracer) {
	s := store.NewMemory(1)
	at, err := s.Acquire(b.Context(), 0, b.Name())
	require.NoError(b, err)
	l := lane.New(lane.Config{Store: s, Types: map[string]aggregate.Type{"tally": tally}, Clock: hlc.New(),
		Memory: lane.NewMemory(1<<20, 0), MaxBatch: benchBatch, MaxEventBytes: func() int { return 10_000 }, Metrics: metrics}, at, nil)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = l.Run(ctx) }()
	defer func() { stop(); <-ended }()

	done := make(chan lane.Result, benchBatch)
	commands := make([]lane.Command, benchBatch)
	id := 0
	b.ReportAllocs()
	for b.Loop() {
		for i := range commands {
			id++
			commands[i] = lane.Command{Key: key("a"), ID: strconv.Itoa(id), Name: "add", Body: []byte(`{"By":1}`),
				Done: func(r lane.Result) { done <- r }}
			if tracer != nil {
				_, commands[i].Span = tracer.Start(ctx, "process")
			}
			require.NoError(b, l.Submit(ctx, &commands[i]))
		}
		for range commands {
			<-done
		}
	}
}
