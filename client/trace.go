package client

import (
	"context"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/trace"

	"github.com/maestro-es/maestro/internal/telemetry"
	"github.com/maestro-es/maestro/internal/wire"
)

// traceCommand starts the span of an operation on a command. subject returns the subject of the
// command.
func (c *Client) traceCommand(ctx context.Context, operation string, subject func(typ, id, name string) string, cmd *Command,
	more ...trace.SpanStartOption,
) (context.Context, trace.Span) {
	kind := trace.SpanKindProducer
	if operation == telemetry.OperationRequest {
		kind = trace.SpanKindClient // it waits for the answer
	}
	on := telemetry.NewOperation(operation, subject(cmd.Aggregate, telemetry.AnyID, cmd.Name), kind)
	ctx, span := on.Start(ctx, more...)
	if span.IsRecording() {
		on.Describe(span, subject(cmd.Aggregate, cmd.AggregateID, cmd.Name), cmd.ID)
		span.SetAttributes(telemetry.NamespaceKey.String(string(c.namespace)), telemetry.AggregateKey.String(cmd.Aggregate),
			telemetry.AggregateIDKey.String(cmd.AggregateID), telemetry.CommandKey.String(cmd.Name))
	}
	return ctx, span
}

// traceRead starts the span of a request that reads an aggregate.
func (c *Client) traceRead(ctx context.Context, subject func(typ, id string) string, typ, id string) (context.Context, trace.Span) {
	request := telemetry.NewOperation(telemetry.OperationRequest, subject(typ, telemetry.AnyID), trace.SpanKindClient)
	ctx, span := request.Start(ctx)
	if span.IsRecording() {
		request.Describe(span, subject(typ, id), "")
		span.SetAttributes(telemetry.NamespaceKey.String(string(c.namespace)), telemetry.AggregateKey.String(typ),
			telemetry.AggregateIDKey.String(id))
	}
	return ctx, span
}

// traceImport starts the span of an import.
func (c *Client) traceImport(ctx context.Context) (context.Context, trace.Span) {
	ctx, span := telemetry.Tracer().Start(ctx, "import", trace.WithAttributes(telemetry.NamespaceKey.String(string(c.namespace))))
	return ctx, span
}

// traceImported gives each command of an import a trace of its own, linked to the import's trace.
// Otherwise a million commands would be one trace.
func (c *Client) traceImported(ctx context.Context, cmd *Command) context.Context {
	of := trace.SpanContextFromContext(ctx)
	if !of.IsValid() {
		return ctx // nobody records the import
	}
	ctx, span := c.traceCommand(ctx, telemetry.OperationCreate, c.namespace.Send, cmd, trace.WithNewRoot(),
		trace.WithLinks(trace.Link{SpanContext: of}))
	span.End()
	return ctx
}

// endSpan ends a span with the error that the call returns.
func endSpan(span trace.Span, err *error) { telemetry.End(span, *err) }

// inject writes the trace context of ctx into headers.
func inject(ctx context.Context, header nats.Header) {
	parent, state := telemetry.Inject(ctx)
	if parent != "" {
		header.Set(wire.HeaderTraceparent, parent)
	}
	if state != "" {
		header.Set(wire.HeaderTracestate, state)
	}
}
