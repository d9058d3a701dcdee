package consumer

import (
	"context"

	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/internal/lane"
	"github.com/maestro-es/maestro/internal/telemetry"
	"github.com/maestro-es/maestro/internal/wire"
)

// operations are the processing of each command that the aggregates know: of a durable one and of a request.
type operations map[string]map[string][2]*telemetry.Operation

func newOperations(ns wire.Namespace, types map[string]aggregate.Type) operations {
	all := operations{}
	for name, typ := range types {
		all[name] = map[string][2]*telemetry.Operation{}
		for _, command := range typ.CommandNames() {
			all[name][command] = [2]*telemetry.Operation{process(ns, name, command, true), process(ns, name, command, false)}
		}
	}
	return all
}

func process(ns wire.Namespace, typ, command string, durable bool) *telemetry.Operation {
	switch {
	case durable && typ == "": // nobody knows what it is
		return telemetry.NewOperation(telemetry.OperationProcess, ns.Commands(), trace.SpanKindConsumer)
	case durable:
		return telemetry.NewOperation(telemetry.OperationProcess, ns.Send(typ, telemetry.AnyID, command), trace.SpanKindConsumer)
	default:
		return telemetry.NewOperation(telemetry.OperationProcess, ns.Do(typ, telemetry.AnyID, command), trace.SpanKindServer)
	}
}

func (c *Consumer) processing(cmd *lane.Command) *telemetry.Operation {
	durable := cmd.Cursor.Sequence > 0
	switch known, is := c.operations[cmd.Key.Type][cmd.Name]; {
	case !is:
		return process(c.Namespace, cmd.Key.Type, cmd.Name, durable)
	case durable:
		return known[0]
	default:
		return known[1]
	}
}

// traced starts the span of the command's way through the lane, from its arrival to its outcome, in the trace that its
// headers name; the lane ends it. The events carry the trace on from there, through storage too.
func (c *Consumer) traced(cmd *lane.Command) {
	process := c.processing(cmd)
	ctx, span := process.Start(telemetry.Extract(context.Background(), cmd.Traceparent, cmd.Tracestate))
	if span.IsRecording() || cmd.Traceparent == "" { // a trace that began here and is not recorded must not be downstream either
		cmd.Traceparent, cmd.Tracestate = telemetry.Inject(ctx)
	}
	if !span.IsRecording() {
		return
	}
	cmd.Span = span
	process.Describe(span, cmd.Subject, cmd.ID)
	span.SetAttributes(telemetry.NamespaceKey.String(string(c.Namespace)), telemetry.AggregateKey.String(cmd.Key.Type),
		telemetry.AggregateIDKey.String(cmd.Key.ID), telemetry.CommandKey.String(cmd.Name),
		semconv.MessagingMessageBodySize(len(cmd.Body)))
	if cmd.CorrelationID != "" {
		span.SetAttributes(semconv.MessagingMessageConversationID(cmd.CorrelationID))
	}
}
