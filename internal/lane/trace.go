package lane

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/maestro-es/maestro/internal/telemetry"
	"github.com/maestro-es/maestro/store"
)

// A recorded command brings its span along; other commands cost nothing here. The spans queued and
// evaluate are children of the command's span. A batch belongs to no single command, so it has its
// own trace, and the commands and the batch link to each other.

// traced returns ctx with the command's span. If the command is not recorded, it returns ctx.
func (c *Command) traced(ctx context.Context) context.Context {
	if c.Span == nil {
		return ctx
	}
	return trace.ContextWithSpan(ctx, c.Span)
}

// traceQueued records how long a command waited for its batch.
func (c *Command) traceQueued(until time.Time) {
	if c.Span == nil {
		return
	}
	_, span := telemetry.Tracer().Start(c.traced(context.Background()), "queued", trace.WithTimestamp(c.arrived))
	span.End(trace.WithTimestamp(until))
}

// traceEvaluate records the evaluation of a command until end is called.
func (c *Command) traceEvaluate(ctx context.Context) (end func()) {
	if c.Span == nil {
		return nothing
	}
	_, span := telemetry.Tracer().Start(c.traced(ctx), "evaluate", trace.WithAttributes(
		telemetry.AggregateKey.String(c.Key.Type), telemetry.CommandKey.String(c.Name)))
	return func() { span.End() }
}

func nothing() {}

// traceOutcome ends the command's span.
func (c *Command) traceOutcome(r *Result) {
	if c.Span == nil {
		return
	}
	o := &r.Outcome
	c.Span.SetAttributes(telemetry.OutcomeKey.String(string(o.Status)), telemetry.DuplicateKey.Bool(o.Duplicate),
		telemetry.SequenceKey.Int64(o.Sequence), telemetry.PositionKey.Int64(o.Position),
		semconv.MessagingDestinationPartitionID(partitionID(o.Partition)))
	if o.Error != nil {
		c.Span.SetAttributes(semconv.ErrorTypeKey.String(o.Error.Code))
	}
	if o.Status == store.Failed {
		c.Span.SetStatus(codes.Error, o.Error.Error())
	}
	c.Span.End()
}

// traceAbandoned ends the span of a command that the lane does not come to. The next owner of the
// partition begins another span.
func (t task) traceAbandoned() {
	if t.command != nil && t.command.Span != nil {
		t.command.Span.AddEvent("abandoned")
		t.command.Span.End()
	}
}

// traceBatch starts the span of a batch if a command in it is recorded. The store's spans are its
// children.
func (l *Lane) traceBatch(ctx context.Context, tasks []task) (context.Context, trace.Span) {
	var links []trace.Link
	for _, t := range tasks {
		if t.command != nil && t.command.Span != nil {
			links = append(links, trace.Link{SpanContext: t.command.Span.SpanContext()})
		}
	}
	if links == nil {
		return ctx, nil
	}
	ctx, batch := telemetry.Tracer().Start(ctx, "batch", trace.WithNewRoot(), trace.WithLinks(links...), trace.WithAttributes(
		l.partitionAttribute(), semconv.MessagingBatchMessageCount(len(tasks))))
	for _, t := range tasks {
		if t.command != nil && t.command.Span != nil {
			t.command.Span.AddLink(trace.Link{SpanContext: batch.SpanContext()})
		}
	}
	return ctx, batch
}

// traceCommit starts the span of a commit as a child of the batch's span. It returns nil if the
// batch has no span.
func (a *attempt) traceCommit(ctx context.Context, batch trace.Span) (context.Context, trace.Span) {
	if batch == nil {
		return ctx, nil
	}
	return telemetry.Tracer().Start(ctx, "commit", trace.WithAttributes(a.lane.partitionAttribute(), //nolint:spancheck // the caller ends it
		telemetry.EventsKey.Int(len(a.commit.Events)), telemetry.PositionKey.Int64(a.commit.Position+int64(len(a.commit.Events)))))
}

func (l *Lane) partitionAttribute() attribute.KeyValue {
	return telemetry.PartitionKey.Int(l.at.Number)
}

// endSpan ends a span that may be nil, with what went wrong.
func endSpan(span trace.Span, err error) {
	if span == nil {
		return
	}
	if err != nil {
		span.SetAttributes(semconv.ErrorTypeKey.String(reasonOf(err)))
	}
	telemetry.End(span, err)
}
