package eventstream

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/maestro-es/maestro/internal/telemetry"
	"github.com/maestro-es/maestro/store"
)

// stuckAfter is how many tries of one event mean that the handler will hardly ever take it. All
// events behind it wait.
var stuckAfter = 10

// stuck counts the events that subscriptions cannot get past: 1 or 0 for each subscription.
type stuck struct {
	events metric.Int64UpDownCounter
	of     metric.MeasurementOption
}

func newStuck(s Subscription) (*stuck, error) {
	events, err := telemetry.Meter().Int64UpDownCounter("maestro.subscription.stuck", metric.WithUnit("{event}"),
		metric.WithDescription("Events that a subscription's handler has not taken in many tries, while all behind them wait."))
	if err != nil {
		return nil, fmt.Errorf("subscribe %s: measure: %w", s.Name, err)
	}
	return &stuck{events, metric.WithAttributeSet(attribute.NewSet(telemetry.NamespaceKey.String(s.Namespace),
		attribute.String("maestro.subscription", s.Name)))}, nil
}

// tries counts the tries of one event: the server's deliveries of it, including those to programs
// that have ended since, and those of this program.
type tries struct {
	Subscription
	event store.Event
	count int
	is    bool // stuck
}

func (s Subscription) tries(e store.Event, msg jetstream.Msg) *tries {
	t := &tries{Subscription: s, event: e}
	if meta, err := msg.Metadata(); err == nil {
		t.count = int(meta.NumDelivered) - 1
	}
	return t
}

// another notes that the handler gets the event once more.
func (t *tries) another(ctx context.Context) {
	t.count++
	if t.count <= stuckAfter || t.is {
		return
	}
	t.is = true
	t.stuck.events.Add(ctx, 1, t.stuck.of)
	t.Logger.ErrorContext(ctx, "an event is not taken, and all events behind it wait: mend the handler, or have it take the event "+
		"and do nothing",
		"tries", t.count, "partition", t.event.Partition, "position", t.event.Position, "aggregate", t.event.Aggregate.Type,
		"id", t.event.Aggregate.ID, "event", t.event.Type)
}

// done notes that the handler has taken the event, or that this program leaves it to the next.
func (t *tries) done(ctx context.Context) {
	if t.is {
		t.stuck.events.Add(ctx, -1, t.stuck.of)
	}
}
