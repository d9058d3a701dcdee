package eventstream

import (
	"context"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/maestro-es/maestro/internal/telemetry"
	"github.com/maestro-es/maestro/internal/wire"
	"github.com/maestro-es/maestro/store"
)

// traced records the publication of events whose command is traced, each in the trace of its
// command, until done is called. The log stores the trace context, so it does not matter who
// publishes and when.
func traced(ctx context.Context, ns wire.Namespace, events []store.Event, messages []*nats.Msg) (done func(error)) {
	var spans []trace.Span
	for i := range events {
		if m := &events[i].Metadata; telemetry.Sampled(m.Traceparent) {
			if span := traceOne(telemetry.Extract(ctx, m.Traceparent, m.Tracestate), ns, &events[i], messages[i]); span.IsRecording() {
				spans = append(spans, span)
			}
		}
	}
	if spans == nil {
		return func(error) {}
	}
	return func(err error) {
		for _, span := range spans {
			telemetry.End(span, err)
		}
	}
}

// traceOne starts the span of an event's publication, and passes its context on to the subscribers
// in the message.
func traceOne(ctx context.Context, ns wire.Namespace, e *store.Event, msg *nats.Msg) trace.Span {
	publish := telemetry.NewOperation(telemetry.OperationPublish, templateOf(ns, e), trace.SpanKindProducer)
	ctx, span := publish.Start(ctx)
	if !span.IsRecording() {
		return span
	}
	describe(span, ns, publish, e)
	parent, state := telemetry.Inject(ctx)
	msg.Header[wire.HeaderTraceparent] = []string{parent}
	if state != "" {
		msg.Header[wire.HeaderTracestate] = []string{state}
	}
	return span
}

// traceHandling starts the span of a subscriber's work on an event.
func traceHandling(ctx context.Context, ns wire.Namespace, s Subscription, e *store.Event) (context.Context, trace.Span) {
	process := telemetry.NewOperation(telemetry.OperationProcess, templateOf(ns, e), trace.SpanKindConsumer)
	ctx, span := process.Start(telemetry.Extract(ctx, e.Metadata.Traceparent, e.Metadata.Tracestate))
	if span.IsRecording() {
		describe(span, ns, process, e)
		span.SetAttributes(semconv.MessagingConsumerGroupName(s.Name))
	}
	return ctx, span //nolint:spancheck // the caller ends it
}

func templateOf(ns wire.Namespace, e *store.Event) string {
	tokens := []string{telemetry.AnyPartition, e.Aggregate.Type, telemetry.AnyID, e.Type}
	return strings.TrimSuffix(ns.Events(), ">") + strings.Join(tokens, ".")
}

func describe(span trace.Span, ns wire.Namespace, operation *telemetry.Operation, e *store.Event) {
	operation.Describe(span, ns.Event(e.Partition, e.Aggregate.Type, e.Aggregate.ID, e.Type),
		e.Aggregate.Type+"."+e.Aggregate.ID+"."+strconv.FormatInt(e.Sequence, 10))
	span.SetAttributes(telemetry.NamespaceKey.String(string(ns)), telemetry.AggregateKey.String(e.Aggregate.Type),
		telemetry.AggregateIDKey.String(e.Aggregate.ID), telemetry.EventKey.String(e.Type), telemetry.SequenceKey.Int64(e.Sequence),
		telemetry.PositionKey.Int64(e.Position),
		telemetry.CommandIDKey.String(e.Metadata.CommandID), semconv.MessagingMessageBodySize(len(e.Body)),
		semconv.MessagingDestinationPartitionID(strconv.Itoa(e.Partition)))
	if e.Metadata.CorrelationID != "" {
		span.SetAttributes(semconv.MessagingMessageConversationID(e.Metadata.CorrelationID))
	}
}
