package telemetry

import (
	"context"
	"slices"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// scope names Maestro in everything that it records.
const scope = "github.com/maestro-es/maestro"

// Tracer records the spans of Maestro.
func Tracer() trace.Tracer { return otel.Tracer(scope, trace.WithSchemaURL(semconv.SchemaURL)) }

// What happens to a message, as spans name it.
const (
	OperationSend    = "send"
	OperationRequest = "request"
	OperationCreate  = "create"
	OperationProcess = "process"
	OperationPublish = "publish"
)

// operationTypes are the classes that OpenTelemetry knows.
var operationTypes = map[string]attribute.KeyValue{
	OperationSend: semconv.MessagingOperationTypeSend, OperationRequest: semconv.MessagingOperationTypeSend,
	OperationCreate: semconv.MessagingOperationTypeCreate, OperationProcess: semconv.MessagingOperationTypeProcess,
	OperationPublish: semconv.MessagingOperationTypeSend,
}

// AnyID replaces the aggregate's id, and AnyPartition the partition, in the template of a kind of
// messages.
const (
	AnyID        = "{id}"
	AnyPartition = "{partition}"
)

// Operation is what is done to messages of a kind. A frequent operation is made once, because
// starting a span that nobody records then costs next to nothing.
type Operation struct {
	tracer               trace.Tracer
	name, template, span string
	options              []trace.SpanStartOption
}

// NewOperation returns an operation. The name is one of the names above. The template is the
// messages' subject without the parts that differ between messages.
func NewOperation(name, template string, kind trace.SpanKind) *Operation {
	return &Operation{tracer: Tracer(), name: name, template: template, span: name + " " + template,
		options: []trace.SpanStartOption{trace.WithSpanKind(kind)}}
}

// Start starts a span of the operation.
func (o *Operation) Start(ctx context.Context, more ...trace.SpanStartOption) (context.Context, trace.Span) {
	options := o.options
	if len(more) > 0 {
		options = append(slices.Clip(options), more...)
	}
	return o.tracer.Start(ctx, o.span, options...)
}

// Describe records in the span which message the operation handles, in the semantic conventions for
// messaging.
func (o *Operation) Describe(span trace.Span, subject, id string) {
	span.SetAttributes(semconv.MessagingSystemKey.String("nats"), semconv.MessagingOperationName(o.name), operationTypes[o.name],
		semconv.MessagingDestinationName(subject), semconv.MessagingDestinationTemplate(o.template))
	if id != "" {
		span.SetAttributes(semconv.MessagingMessageID(id))
	}
}

// End ends a span, and records err in it unless err is nil.
func End(span trace.Span, err error) {
	if err != nil && span.IsRecording() {
		span.RecordError(err)
		span.SetStatus(codes.Error, err.Error())
	}
	span.End()
}

// Attributes of Maestro's own. Numbers and names that stand for themselves in the conventions are
// not repeated here.
const (
	NamespaceKey   = attribute.Key("maestro.namespace")
	AggregateKey   = attribute.Key("maestro.aggregate")
	AggregateIDKey = attribute.Key("maestro.aggregate_id")
	CommandKey     = attribute.Key("maestro.command")
	CommandIDKey   = attribute.Key("maestro.command_id")
	EventKey       = attribute.Key("maestro.event")
	EventsKey      = attribute.Key("maestro.events")
	OutcomeKey     = attribute.Key("maestro.outcome")
	DuplicateKey   = attribute.Key("maestro.duplicate")
	SequenceKey    = attribute.Key("maestro.sequence")
	PartitionKey   = attribute.Key("maestro.partition")
	PositionKey    = attribute.Key("maestro.position")
	SourceKey      = attribute.Key("maestro.source")
	ResultKey      = attribute.Key("maestro.result")
)
