package message

import (
	"context"

	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/internal/lane"
	"github.com/maestro-es/maestro/internal/telemetry"
	"github.com/maestro-es/maestro/internal/wire"
)

// Tracing starts the spans of commands.
type Tracing struct {
	namespace wire.Namespace
	// known has two operations for each known command, by aggregate type and command name: first
	// for durable commands, then for requests.
	known map[string]map[string][2]*telemetry.Operation
}

// NewTracing returns the tracing of the commands that the aggregate types know.
func NewTracing(ns wire.Namespace, types map[string]aggregate.Type) *Tracing {
	t := &Tracing{namespace: ns, known: map[string]map[string][2]*telemetry.Operation{}}
	for name, typ := range types {
		t.known[name] = map[string][2]*telemetry.Operation{}
		for _, command := range typ.CommandNames() {
			t.known[name][command] = [2]*telemetry.Operation{process(ns, name, command, true), process(ns, name, command, false)}
		}
	}
	return t
}

func process(ns wire.Namespace, typ, command string, durable bool) *telemetry.Operation {
	switch {
	case durable && typ == "": // the command has no valid address
		return telemetry.NewOperation(telemetry.OperationProcess, ns.Commands(), trace.SpanKindConsumer)
	case durable:
		return telemetry.NewOperation(telemetry.OperationProcess, ns.Send(typ, telemetry.AnyID, command), trace.SpanKindConsumer)
	default:
		return telemetry.NewOperation(telemetry.OperationProcess, ns.Do(typ, telemetry.AnyID, command), trace.SpanKindServer)
	}
}

func (t *Tracing) processing(cmd *lane.Command) *telemetry.Operation {
	durable := cmd.Cursor.Sequence > 0
	switch known, is := t.known[cmd.Key.Type][cmd.Name]; {
	case !is:
		return process(t.namespace, cmd.Key.Type, cmd.Name, durable)
	case durable:
		return known[0]
	default:
		return known[1]
	}
}

// Start starts the command's span, in the trace that its headers name. The span lasts from the
// command's arrival to its outcome; the lane ends it. The command's events carry the trace on, also
// in storage.
func (t *Tracing) Start(cmd *lane.Command) {
	process := t.processing(cmd)
	ctx, span := process.Start(telemetry.Extract(context.Background(), cmd.Traceparent, cmd.Tracestate))
	if span.IsRecording() || cmd.Traceparent == "" { // an unrecorded trace that began here must not be passed on
		cmd.Traceparent, cmd.Tracestate = telemetry.Inject(ctx)
	}
	if !span.IsRecording() {
		return
	}
	cmd.Span = span
	process.Describe(span, cmd.Subject, cmd.ID)
	span.SetAttributes(telemetry.NamespaceKey.String(string(t.namespace)), telemetry.AggregateKey.String(cmd.Key.Type),
		telemetry.AggregateIDKey.String(cmd.Key.ID), telemetry.CommandKey.String(cmd.Name),
		semconv.MessagingMessageBodySize(len(cmd.Body)))
	if cmd.CorrelationID != "" {
		span.SetAttributes(semconv.MessagingMessageConversationID(cmd.CorrelationID))
	}
}
