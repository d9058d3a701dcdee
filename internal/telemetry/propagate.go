package telemetry

import (
	"context"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

const (
	traceparent = "traceparent"
	tracestate  = "tracestate"
)

// Extract returns ctx as the continuation of the trace that the two headers name. It ignores
// headers that are no trace context.
func Extract(ctx context.Context, parent, state string) context.Context {
	if parent == "" {
		return ctx
	}
	return propagation.TraceContext{}.Extract(ctx, &headers{parent, state})
}

// Inject returns the two headers of the trace that ctx is part of, empty if it is part of none.
func Inject(ctx context.Context) (parent, state string) {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return "", ""
	}
	var h headers
	propagation.TraceContext{}.Inject(ctx, &h)
	return h.parent, h.state
}

// headers is a carrier of the two headers only.
type headers struct{ parent, state string }

// Get implements [propagation.TextMapCarrier].
func (h *headers) Get(key string) string {
	switch key {
	case traceparent:
		return h.parent
	case tracestate:
		return h.state
	}
	return ""
}

// Set implements [propagation.TextMapCarrier].
func (h *headers) Set(key, value string) {
	switch key {
	case traceparent:
		h.parent = value
	case tracestate:
		h.state = value
	}
}

// Keys implements [propagation.TextMapCarrier].
func (h *headers) Keys() []string { return []string{traceparent, tracestate} }

// Sampled tells whether the trace of a header is recorded, without reading the header in full.
// Because of this check, traces that are not recorded cost nothing.
func Sampled(parent string) bool {
	const length = len("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	if len(parent) < length {
		return false
	}
	switch parent[length-1] { // the lowest bit of a hexadecimal digit
	case '1', '3', '5', '7', '9', 'b', 'd', 'f':
		return true
	}
	return false
}
