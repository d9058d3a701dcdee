// Package recording makes a program record the spans and metrics that Maestro's parts give to
// OpenTelemetry's API. It sends them to where the standard environment variables say. Only programs
// import this package, because it links every exporter.
package recording

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.opentelemetry.io/contrib/exporters/autoexport"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

// Program is the program that records.
type Program struct {
	Name, Version string
	// Getenv looks up OpenTelemetry's standard variables.
	Getenv func(string) string
}

// Recording is what [Setup] set up.
type Recording struct {
	// Traces tells whether spans are recorded.
	Traces bool
	stop   []func(context.Context) error
}

// Stop sends what is left, even if ctx has ended. It gives up after a few seconds.
func (r *Recording) Stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	var err error
	for _, stop := range r.stop {
		err = errors.Join(err, stop(ctx))
	}
	return err
}

// Setup makes the process record metrics in Prometheus's default registry. It also sends spans and
// metrics to other places if the standard environment asks for it, by OTEL_TRACES_EXPORTER or
// OTEL_METRICS_EXPORTER. For traces, OTEL_EXPORTER_OTLP_ENDPOINT alone is enough.
func Setup(ctx context.Context, p Program) (*Recording, error) {
	about, err := resource.New(ctx, resource.WithAttributes(semconv.ServiceName(p.Name), semconv.ServiceVersion(p.Version)),
		resource.WithHost(), resource.WithTelemetrySDK(), resource.WithFromEnv()) // last, so that the environment wins
	if err != nil && !errors.Is(err, resource.ErrPartialResource) {
		return nil, fmt.Errorf("describe the process to OpenTelemetry: %w", err)
	}
	r := &Recording{}
	if err := r.traces(ctx, p, about); err != nil {
		return nil, err
	}
	return r, r.metrics(ctx, p, about)
}

func (r *Recording) metrics(ctx context.Context, p Program, about *resource.Resource) error {
	scraped, err := prometheus.New(prometheus.WithoutScopeInfo())
	if err != nil {
		return fmt.Errorf("export metrics: %w", err)
	}
	options := []metric.Option{metric.WithReader(scraped), metric.WithResource(about)}
	if p.Getenv("OTEL_METRICS_EXPORTER") != "" && !disabled(p.Getenv) {
		pushed, err := autoexport.NewMetricReader(ctx)
		if err != nil {
			return fmt.Errorf("export metrics as OTEL_METRICS_EXPORTER says: %w", err)
		}
		options = append(options, metric.WithReader(pushed))
	}
	meters := metric.NewMeterProvider(options...)
	otel.SetMeterProvider(meters)
	r.stop = append(r.stop, meters.Shutdown)
	return nil
}

func (r *Recording) traces(ctx context.Context, p Program, about *resource.Resource) error {
	exporter, err := newSpanExporter(ctx, p.Getenv)
	if err != nil || exporter == nil {
		return err
	}
	chosen, err := sampler(p.Getenv)
	if err != nil {
		return errors.Join(err, exporter.Shutdown(ctx))
	}
	limits := trace.NewSpanLimits()
	if p.Getenv("OTEL_SPAN_LINK_COUNT_LIMIT") == "" {
		limits.LinkCountLimit = maxLinks
	}
	tracers := trace.NewTracerProvider(trace.WithBatcher(exporter), trace.WithResource(about), trace.WithSampler(chosen),
		trace.WithRawSpanLimits(limits))
	otel.SetTracerProvider(tracers)
	r.Traces = true
	r.stop = append(r.stop, tracers.Shutdown)
	return nil
}

const stopTimeout = 3 * time.Second

// maxLinks is how many commands a batch can link. OpenTelemetry's default of 128 is less than a
// batch has.
const maxLinks = 4096

// disabled tells whether the environment switches OpenTelemetry off, in upper or lower case.
func disabled(getenv func(string) string) bool {
	return strings.EqualFold(getenv("OTEL_SDK_DISABLED"), "true")
}

// newSpanExporter returns the exporter that the environment asks for, nil if it asks for none.
func newSpanExporter(ctx context.Context, getenv func(string) string) (trace.SpanExporter, error) {
	if disabled(getenv) || getenv("OTEL_TRACES_EXPORTER") == "" &&
		getenv("OTEL_EXPORTER_OTLP_ENDPOINT") == "" && getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") == "" {
		return nil, nil //nolint:nilnil // none
	}
	exporter, err := autoexport.NewSpanExporter(ctx) // OTLP by default
	if err != nil {
		return nil, fmt.Errorf("export traces as OTEL_TRACES_EXPORTER says: %w", err)
	}
	if autoexport.IsNoneSpanExporter(exporter) {
		return nil, nil //nolint:nilnil // none
	}
	return exporter, nil
}
