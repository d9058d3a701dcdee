package telemetry

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

// Meter records the metrics of Maestro.
func Meter() metric.Meter { return otel.Meter(scope, metric.WithSchemaURL(semconv.SchemaURL)) }

// Other replaces names made up by strangers in metrics, because such names would create series
// without end.
const Other = "_OTHER"

// Metrics are the measurements of one namespace's commands and events. They are safe for concurrent
// use, and cost next to nothing when nobody reads metrics. Values that can be asked for at any
// moment are in package consumer.
type Metrics struct {
	namespace attribute.KeyValue
	record    []metric.RecordOption // with the namespace alone
	add       []metric.AddOption

	commands                            metric.Int64Counter
	deadLetters, commitErrors, bodiless metric.Int64Counter
	cacheHits, cacheMisses              metric.Int64Counter
	queued, whole, evaluated, committed metric.Float64Histogram
	published, takeover, handover       metric.Float64Histogram
	batchSize, publicationSize          metric.Int64Histogram
	durable, requested                  []metric.RecordOption
}

// Discard are metrics that nobody reads.
func Discard() *Metrics {
	m, _ := newMetrics(noop.Meter{}, "") // which refuses nothing
	return m
}

// NewMetrics returns the metrics of a namespace.
func NewMetrics(namespace string) (*Metrics, error) { return newMetrics(Meter(), namespace) }

// durations are the histogram bounds of times, in seconds; sizes are the histogram bounds of
// numbers.
var (
	durations = metric.WithExplicitBucketBoundaries(.0002, .0005, .001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10, 30, 60)
	sizes     = metric.WithExplicitBucketBoundaries(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
)

func newMetrics(meter metric.Meter, namespace string) (*Metrics, error) {
	var errs []error
	counter := func(name, unit, what string) metric.Int64Counter {
		c, err := meter.Int64Counter(name, metric.WithUnit(unit), metric.WithDescription(what))
		errs = append(errs, err)
		return c
	}
	seconds := func(name, what string) metric.Float64Histogram {
		h, err := meter.Float64Histogram(name, metric.WithUnit("s"), metric.WithDescription(what), durations)
		errs = append(errs, err)
		return h
	}
	number := func(name, unit, what string) metric.Int64Histogram {
		h, err := meter.Int64Histogram(name, metric.WithUnit(unit), metric.WithDescription(what), sizes)
		errs = append(errs, err)
		return h
	}
	m := &Metrics{namespace: NamespaceKey.String(namespace),
		commands:     counter("maestro.commands", "{command}", "Commands that got an outcome."),
		deadLetters:  counter("maestro.dead_letters", "{command}", "Durable commands that failed and were put aside."),
		commitErrors: counter("maestro.commit.errors", "{commit}", "Commits that were not made."),
		bodiless: counter("maestro.publication.bodies_left_out", "{event}",
			"Events that were too large for a message and were published without their body."),
		cacheHits:   counter("maestro.cache.hits", "{aggregate}", "Aggregates that a batch found in memory."),
		cacheMisses: counter("maestro.cache.misses", "{aggregate}", "Aggregates that a batch had to load."),

		queued:    seconds("maestro.command.queued.duration", "From a command's arrival at the worker to its batch."),
		whole:     seconds("maestro.command.duration", "From a command's arrival, a durable one's at the stream, to its outcome."),
		evaluated: seconds("maestro.batch.evaluate.duration", "Loading and deciding a batch."),
		committed: seconds("maestro.batch.commit.duration", "Committing a batch, projections included."),
		published: seconds("maestro.publication.duration", "Publishing events that go together."),
		takeover:  seconds("maestro.takeover.duration", "From the decision to take a partition to its first command."),
		handover:  seconds("maestro.handover.duration", "From the decision to give a partition away to its release."),

		batchSize:       number("maestro.batch.size", "{command}", "Commands, and reads between them, in a committed batch."),
		publicationSize: number("maestro.publication.size", "{event}", "Events that were published together.")}
	m.record, m.add = m.recordWith(), m.addWith()
	m.durable, m.requested = m.recordWith(SourceKey.String("stream")), m.recordWith(SourceKey.String("request"))
	err := errors.Join(errs...)
	if err == nil {
		m.bodiless.Add(context.Background(), 0, m.add...) // 0 is shown before the first event, so that an alert sees the counter rise
	}
	return m, err
}

// addWith and recordWith prepare the attributes of measurements in advance, so that a measurement
// need not.
func (m *Metrics) addWith(more ...attribute.KeyValue) []metric.AddOption {
	return []metric.AddOption{metric.WithAttributeSet(attribute.NewSet(append(more, m.namespace)...))}
}

func (m *Metrics) recordWith(more ...attribute.KeyValue) []metric.RecordOption {
	return []metric.RecordOption{metric.WithAttributeSet(attribute.NewSet(append(more, m.namespace)...))}
}

// Enabled tells whether somebody reads the metrics of commands.
func (m *Metrics) Enabled() bool { return m.queued.Enabled(context.Background()) }

// Kind is the key by which commands are counted: the aggregate's type, the command's name and the
// outcome.
type Kind struct{ Aggregate, Command, Outcome string }

// CountOf returns a function that counts commands of a kind.
func (m *Metrics) CountOf(k Kind) (count func(commands int64)) {
	attributes := m.addWith(AggregateKey.String(k.Aggregate), CommandKey.String(k.Command), OutcomeKey.String(k.Outcome))
	return func(commands int64) { m.commands.Add(context.Background(), commands, attributes...) }
}

// Queued records how long a command waited for its batch. If ctx has the command's span, the trace
// becomes an example of its bucket.
func (m *Metrics) Queued(ctx context.Context, took time.Duration) {
	m.queued.Record(ctx, took.Seconds(), m.record...)
}

// Done records how long a command took in all. If ctx has the command's span, the trace becomes an
// example of its bucket.
func (m *Metrics) Done(ctx context.Context, took time.Duration, durable bool) {
	attributes := m.requested
	if durable {
		attributes = m.durable
	}
	m.whole.Record(ctx, max(0, took.Seconds()), attributes...) // the stream's clock is a different one
}

// Evaluated records how long a batch took to load and decide, and how many cache hits and misses it
// had.
func (m *Metrics) Evaluated(took time.Duration, hits, misses int) {
	ctx := context.Background()
	m.evaluated.Record(ctx, took.Seconds(), m.record...)
	m.cacheHits.Add(ctx, int64(hits), m.add...)
	m.cacheMisses.Add(ctx, int64(misses), m.add...)
}

// Committed records how long a batch took to commit.
func (m *Metrics) Committed(took time.Duration, commands int) {
	ctx := context.Background()
	m.committed.Record(ctx, took.Seconds(), m.record...)
	m.batchSize.Record(ctx, int64(commands), m.record...)
}

// NotCommitted counts a commit that failed. The reason is one of a few fixed texts.
func (m *Metrics) NotCommitted(reason string) {
	m.commitErrors.Add(context.Background(), 1, m.addWith(semconv.ErrorTypeKey.String(reason))...)
}

// DeadLetter counts a command that was put aside, under the code of its error.
func (m *Metrics) DeadLetter(code string) {
	m.deadLetters.Add(context.Background(), 1, m.addWith(semconv.ErrorTypeKey.String(code))...)
}

// Published records how long it took to publish events together.
func (m *Metrics) Published(took time.Duration, events int) {
	ctx := context.Background()
	m.published.Record(ctx, took.Seconds(), m.record...)
	m.publicationSize.Record(ctx, int64(events), m.record...)
}

// PublishedWithoutBody counts an event that was too large for a message.
func (m *Metrics) PublishedWithoutBody() { m.bodiless.Add(context.Background(), 1, m.add...) }

// TookOver records how long it took to take a partition over.
func (m *Metrics) TookOver(took time.Duration) {
	m.takeover.Record(context.Background(), took.Seconds(), m.record...)
}

// HandedOver records how long it took to give a partition away.
func (m *Metrics) HandedOver(took time.Duration) {
	m.handover.Record(context.Background(), took.Seconds(), m.record...)
}
