package consumer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/maestro-es/maestro/internal/lane"
	"github.com/maestro-es/maestro/internal/telemetry"
	"github.com/maestro-es/maestro/store"
)

// gauges are what can be asked of a worker at any moment; what happens is counted where it does,
// through [telemetry.Metrics].
type gauges struct {
	owned, backlog, unpublished, cached, cachedBytes, stream metric.Int64ObservableGauge
	orphans, standing, diverged, contended                   metric.Int64ObservableGauge
	age, skew                                                metric.Float64ObservableGauge
	intake, reads                                            metric.Int64ObservableGauge
}

func newGauges(m metric.Meter) (g gauges, err error) {
	var errs [15]error
	number := func(at int, name, unit, what string) (gauge metric.Int64ObservableGauge) {
		gauge, errs[at] = m.Int64ObservableGauge(name, metric.WithUnit(unit), metric.WithDescription(what))
		return gauge
	}
	g.owned = number(0, "maestro.partitions.owned", "{partition}", "Partitions that this worker owns.")
	g.backlog = number(1, "maestro.backlog.commands", "{command}", "Commands of a partition that wait for their outcome.")
	g.unpublished = number(2, "maestro.publication.lag", "{event}", "Events of a partition that are committed and not in the event stream.")
	g.cached = number(3, "maestro.cache.entries", "{aggregate}", "Aggregates in memory.")
	g.stream = number(4, "maestro.stream.commands", "{command}", "Commands in the namespace's command stream.")
	g.cachedBytes = number(5, "maestro.cache.size", "By", "Memory that the aggregates in it take, an estimate.")
	g.age, errs[6] = m.Float64ObservableGauge("maestro.backlog.age", metric.WithUnit("s"),
		metric.WithDescription("Age of the oldest durable command of a partition that waits for its outcome."))
	g.skew, errs[12] = m.Float64ObservableGauge("maestro.clock.skew", metric.WithUnit("s"),
		metric.WithDescription("How far the clock of the worker's machine is ahead of Postgres's."))
	g.orphans = number(8, "maestro.partitions.orphaned", "{partition}", "Partitions of the namespace that no worker is known to own.")
	g.standing = number(9, "maestro.partitions.standing", "{partition}",
		"Partitions of this worker in which nothing has moved for 30 s, though commands wait.")
	g.diverged = number(10, "maestro.partitions.diverged", "{partition}",
		"Partitions of this worker that are not published because the event stream is not the log's.")
	g.contended = number(11, "maestro.projections.contended", "{projection}",
		"Projections whose commits go one at a time, because partitions write the same rows.")
	g.intake = number(13, "maestro.intake.size", "By", "Bytes of commands that wait or are in hand, of the budget for them.")
	g.reads = number(14, "maestro.reads.size", "By",
		"Bytes set aside for reads of histories and snapshots that wait, of the budget for them.")
	return g, errors.Join(errs[:]...)
}

// observe exports how this worker stands, until stop is called.
func (c *Consumer) observe() (stop func(), err error) {
	meter := telemetry.Meter()
	g, err := newGauges(meter)
	if err != nil {
		return nil, fmt.Errorf("export metrics: %w", err)
	}
	namespace := telemetry.NamespaceKey.String(string(c.Namespace))
	partitions := make([]metric.ObserveOption, len(c.lanes))
	for p := range partitions {
		partitions[p] = metric.WithAttributeSet(attribute.NewSet(namespace, telemetry.PartitionKey.Int(p)))
	}
	all := metric.WithAttributeSet(attribute.NewSet(namespace))
	registered, err := meter.RegisterCallback(func(ctx context.Context, o metric.Observer) error {
		var cached, cachedBytes int64
		for p := range c.lanes {
			if l := c.lanes[p].Load(); l != nil {
				s := l.Stats()
				cached += s.Cached
				cachedBytes += s.CachedBytes
				g.observe(o, s, partitions[p])
			}
		}
		o.ObserveInt64(g.cached, cached, all)
		o.ObserveInt64(g.intake, c.Lane.Memory.Intake.Used(), all)
		o.ObserveInt64(g.reads, c.Lane.Memory.Reads.Used(), all)
		o.ObserveInt64(g.cachedBytes, cachedBytes, all)
		o.ObserveInt64(g.owned, c.owned.Load(), all)
		c.observeTrouble(o, g, all)
		if commands, err := c.inStream(ctx); err == nil { // a server that is away has its own alarms
			o.ObserveInt64(g.stream, commands, all)
		}
		return nil
	}, g.owned, g.backlog, g.unpublished, g.cached, g.cachedBytes, g.stream, g.age,
		g.orphans, g.standing, g.diverged, g.contended, g.skew, g.intake, g.reads)
	if err != nil {
		return nil, fmt.Errorf("export metrics: %w", err)
	}
	return func() { _ = registered.Unregister() }, nil
}

// observeTrouble exports what a person should look at.
func (c *Consumer) observeTrouble(o metric.Observer, g gauges, all metric.ObserveOption) {
	var orphans, diverged int64
	for _, t := range c.owning() {
		if t.Publisher.Diverged() {
			diverged++
		}
	}
	for p := range c.lanes {
		if c.roster.Owner(p) == "" {
			orphans++
		}
	}
	o.ObserveInt64(g.orphans, orphans, all)
	o.ObserveInt64(g.standing, c.standing(time.Now()), all)
	o.ObserveInt64(g.diverged, diverged, all)
	contended := 0
	if log, has := c.Store.(interface{ Contended() []string }); has {
		contended = len(log.Contended())
	}
	o.ObserveInt64(g.contended, int64(contended), all)
	if ahead, known := c.Lane.Clock.Ahead(); known {
		o.ObserveFloat64(g.skew, ahead.Seconds(), all)
	}
}

// standing is in how many partitions nothing has moved for long, though commands wait.
func (c *Consumer) standing(now time.Time) (n int64) {
	for _, t := range c.owning() {
		if s := t.Lane.Stats(); !s.Stalled.IsZero() && now.Sub(s.Stalled) > forLong {
			n++
		}
	}
	return n
}

func (g gauges) observe(o metric.Observer, s lane.Stats, partition metric.ObserveOption) {
	age := 0.0
	if !s.Oldest.IsZero() {
		age = max(0, time.Since(s.Oldest).Seconds()) // the stream's clock is another
	}
	o.ObserveInt64(g.backlog, s.Backlog, partition)
	o.ObserveFloat64(g.age, age, partition)
	o.ObserveInt64(g.unpublished, s.Unpublished, partition)
}

// inStream is the number of commands in the stream: those that wait and those that were handled in
// the last seconds, without the one that is kept as a mark; see trimOnce.
func (c *Consumer) inStream(ctx context.Context) (int64, error) {
	if !c.NATS.IsConnected() {
		return 0, errors.New("not connected")
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	stream, err := c.JetStream.Stream(ctx, c.Namespace.CommandStream())
	if err != nil {
		return 0, err
	}
	commands := int64(stream.CachedInfo().State.Msgs)
	if c.hasMark(stream.CachedInfo()) {
		commands--
	}
	return commands, nil
}

// hasMark tells whether the stream holds the message of a committed cursor. Before its first
// command is handled it has none.
func (c *Consumer) hasMark(stream *jetstream.StreamInfo) bool {
	rows := c.rows.Load()
	return rows != nil && slices.ContainsFunc(*rows, func(row store.Partition) bool {
		at := row.Cursor.Sequence
		return row.Cursor.Stream.Equal(created(stream)) && at > 0 && at >= stream.State.FirstSeq && at <= stream.State.LastSeq
	})
}

// watch keeps the lane's count of the commands that wait behind it true while nothing moves, until
// ctx ends. Otherwise it comes with every message that the server sends.
func (f *feed) watch(ctx context.Context, consumer jetstream.Consumer) {
	const every = 2 * time.Second
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if oldest := f.lane.Stats().Oldest; !oldest.IsZero() && time.Since(oldest) > every {
			f.countBehind(ctx, consumer)
		}
	}
}

// countBehind asks the server how many commands come after the last that went to the lane: those
// that it has not sent and those that it sent ahead.
func (f *feed) countBehind(ctx context.Context, consumer jetstream.Consumer) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	info, err := consumer.Info(ctx)
	if err != nil {
		return // next time
	}
	sentAhead := int64(info.Delivered.Consumer) - f.taken.Load()
	f.lane.SetBehind(max(0, int64(info.NumPending)+sentAhead))
}
