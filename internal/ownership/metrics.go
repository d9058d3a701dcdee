package ownership

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/maestro-es/maestro/internal/lane"
	"github.com/maestro-es/maestro/internal/telemetry"
)

// gauges are the values that can be read from a worker at any moment. Things that happen are
// counted where they happen, through [telemetry.Metrics].
type gauges struct {
	owned, backlog, unpublished, cached, cachedBytes metric.Int64ObservableGauge
	orphans, standing, diverged, contended           metric.Int64ObservableGauge
	age, skew                                        metric.Float64ObservableGauge
	intake, reads                                    metric.Int64ObservableGauge
}

func newGauges(m metric.Meter) (g gauges, err error) {
	var errs []error
	number := func(name, unit, what string) metric.Int64ObservableGauge {
		gauge, err := m.Int64ObservableGauge(name, metric.WithUnit(unit), metric.WithDescription(what))
		errs = append(errs, err)
		return gauge
	}
	seconds := func(name, what string) metric.Float64ObservableGauge {
		gauge, err := m.Float64ObservableGauge(name, metric.WithUnit("s"), metric.WithDescription(what))
		errs = append(errs, err)
		return gauge
	}
	g.owned = number("maestro.partitions.owned", "{partition}", "Partitions that this worker owns.")
	g.backlog = number("maestro.backlog.commands", "{command}", "Commands of a partition that wait for their outcome.")
	g.unpublished = number("maestro.publication.lag", "{event}", "Events of a partition that are committed and not in the event stream.")
	g.cached = number("maestro.cache.entries", "{aggregate}", "Aggregates in memory.")
	g.cachedBytes = number("maestro.cache.size", "By", "Memory that the aggregates in it take, an estimate.")
	g.age = seconds("maestro.backlog.age", "Age of the oldest durable command of a partition that waits for its outcome.")
	g.skew = seconds("maestro.clock.skew", "How far the clock of the worker's machine is ahead of Postgres's.")
	g.orphans = number("maestro.partitions.orphaned", "{partition}", "Partitions of the namespace that no worker is known to own.")
	g.standing = number("maestro.partitions.standing", "{partition}",
		"Partitions of this worker in which nothing has moved for 30 s, though commands wait.")
	g.diverged = number("maestro.partitions.diverged", "{partition}",
		"Partitions of this worker that are not published because the event stream is not the log's.")
	g.contended = number("maestro.projections.contended", "{projection}",
		"Projections whose commits go one at a time, because partitions write the same rows.")
	g.intake = number("maestro.intake.size", "By", "Bytes of commands that wait or are in hand, of the budget for them.")
	g.reads = number("maestro.reads.size", "By",
		"Bytes set aside for reads of histories and snapshots that wait, of the budget for them.")
	return g, errors.Join(errs...)
}

// Observe exports the gauges of this worker and its partitions until stop is called.
func (o *Ownership) Observe() (stop func(), err error) {
	meter := telemetry.Meter()
	g, err := newGauges(meter)
	if err != nil {
		return nil, fmt.Errorf("export metrics: %w", err)
	}
	namespace := telemetry.NamespaceKey.String(string(o.Namespace))
	partitions := make([]metric.ObserveOption, len(o.Lanes))
	for p := range partitions {
		partitions[p] = metric.WithAttributeSet(attribute.NewSet(namespace, telemetry.PartitionKey.Int(p)))
	}
	all := metric.WithAttributeSet(attribute.NewSet(namespace))
	registered, err := meter.RegisterCallback(func(_ context.Context, to metric.Observer) error {
		var cached, cachedBytes int64
		for p := range o.Lanes {
			if l := o.Lanes[p].Load(); l != nil {
				s := l.Stats()
				cached += s.Cached
				cachedBytes += s.CachedBytes
				g.observe(to, s, partitions[p])
			}
		}
		to.ObserveInt64(g.cached, cached, all)
		to.ObserveInt64(g.intake, o.Lane.Memory.Intake.Used(), all)
		to.ObserveInt64(g.reads, o.Lane.Memory.Reads.Used(), all)
		to.ObserveInt64(g.cachedBytes, cachedBytes, all)
		to.ObserveInt64(g.owned, o.owned.Load(), all)
		o.observeTrouble(to, g, all)
		return nil
	}, g.owned, g.backlog, g.unpublished, g.cached, g.cachedBytes, g.age,
		g.orphans, g.standing, g.diverged, g.contended, g.skew, g.intake, g.reads)
	if err != nil {
		return nil, fmt.Errorf("export metrics: %w", err)
	}
	return func() { _ = registered.Unregister() }, nil
}

// observeTrouble exports the gauges that a person should look at.
func (o *Ownership) observeTrouble(to metric.Observer, g gauges, all metric.ObserveOption) {
	var orphans, diverged int64
	for _, t := range o.owning() {
		if t.Publisher.Diverged() {
			diverged++
		}
	}
	for p := range o.Lanes {
		if o.Roster.Owner(p) == "" {
			orphans++
		}
	}
	to.ObserveInt64(g.orphans, orphans, all)
	to.ObserveInt64(g.standing, o.standing(time.Now()), all)
	to.ObserveInt64(g.diverged, diverged, all)
	contended := 0
	if log, has := o.Store.(interface{ Contended() []string }); has {
		contended = len(log.Contended())
	}
	to.ObserveInt64(g.contended, int64(contended), all)
	if ahead, known := o.Lane.Clock.Ahead(); known {
		to.ObserveFloat64(g.skew, ahead.Seconds(), all)
	}
}

// standing returns the number of partitions in which commands wait but nothing has moved for long.
func (o *Ownership) standing(now time.Time) (n int64) {
	for _, t := range o.owning() {
		if s := t.Lane.Stats(); !s.Stalled.IsZero() && now.Sub(s.Stalled) > forLong {
			n++
		}
	}
	return n
}

func (g gauges) observe(o metric.Observer, s lane.Stats, partition metric.ObserveOption) {
	age := 0.0
	if !s.Oldest.IsZero() {
		age = max(0, time.Since(s.Oldest).Seconds()) // the stream's clock may differ from ours
	}
	o.ObserveInt64(g.backlog, s.Backlog, partition)
	o.ObserveFloat64(g.age, age, partition)
	o.ObserveInt64(g.unpublished, s.Unpublished, partition)
}
