package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/maestro-es/maestro/internal/openloop"
	"github.com/maestro-es/maestro/internal/wire"
)

// shares are the measured loads, as shares of the most that the system can do.
var shares = []float64{0.05, 0.1, 0.25, 0.5, 0.6, 0.7, 0.8, 0.9, 1}

// latencyAgainstLoad is the experiment load.
func latencyAgainstLoad(ctx context.Context, l *lab) (r result, err error) {
	r.notef("Open loop: commands come at a steady rate to 10,000 aggregates at random, 16 partitions, whether or not the earlier ones are "+
		"answered, and each is measured from the moment it was due. Saturation is what the worker does with %s commands in flight all the "+
		"time. Latencies are in milliseconds; *late* is the part of them that passed before the client came to send the command, which is its "+
		"own waiting for a processor.", count(inFlight))
	for _, mode := range []struct {
		name, plot string
		durable    bool
	}{{"request", "load-request", false}, {"durable command with reply", "load-durable", true}} {
		reports, capacity, err := l.climb(ctx, mode.durable)
		if err != nil {
			return r, err
		}
		t := table{head: []string{mode.name + ", of saturation", "asked, commands/s", "answered", "p50", "p90", "p99", "p99.9", "max",
			"late p99"}}
		for i, report := range reports {
			q := report.Latency
			t.add(fmt.Sprintf("%.0f %%", 100*shares[i]), count(report.Asked), count(report.PerSecond),
				millis(q.P50), millis(q.P90), millis(q.P99), millis(q.P999), millis(q.Max), millis(report.Late.P99))
		}
		r.notef("Saturation, %s: %s commands/s.", mode.name, count(capacity))
		r.tables = append(r.tables, t)
		r.plots = append(r.plots, latencyPlot(mode.plot, mode.name, reports))
	}
	return r, nil
}

// inFlight is the number of commands in flight while the system's highest rate is measured.
const inFlight = 1000

// climb finds the highest rate of a worker, and then measures at each share of that rate.
func (l *lab) climb(ctx context.Context, durable bool) (reports []openloop.Report, capacity float64, err error) {
	ns := l.namespace()
	w, err := l.startWorker(ctx, workConfig{Namespace: ns, Partitions: 16}, sampled)
	if err != nil {
		return nil, 0, err
	}
	defer w.stop()
	ctx, cancel := w.during(ctx)
	defer cancel()
	if err := l.awaitWorker(ctx, ns); err != nil {
		return nil, 0, err
	}
	capacity, err = l.saturate(ctx, ns, durable)
	if err != nil {
		return nil, 0, err
	}
	l.progressf("saturation: %s commands/s", count(capacity))
	for _, share := range shares {
		report, err := l.offer(ctx, ns, durable, openloop.Plan{Rate: share * capacity, MaxInFlight: 100_000,
			WarmUp: l.lasting(time.Second), Duration: l.lasting(5 * time.Second)})
		if err != nil {
			return nil, 0, err
		}
		l.progressf("at %s commands/s: p50 %s ms, p99 %s ms, of it late p99 %s ms", count(report.Asked), millis(report.Latency.P50),
			millis(report.Latency.P99), millis(report.Late.P99))
		reports = append(reports, report)
	}
	return reports, capacity, nil
}

// newCommands returns a sender of commands to 10,000 aggregates.
func (l *lab) newCommands(ns wire.Namespace, durable bool) (*openloop.Commands, error) {
	data, err := openloop.ParseData(string(payload(1, 0)))
	if err != nil {
		return nil, err
	}
	return openloop.NewCommands([]*nats.Conn{l.conn}, string(ns), l.conn.NewInbox(), openloop.Load{Aggregate: tallyType,
		Command: addCommand, Data: data, Aggregates: 10_000, Durable: durable}, 30*time.Second)
}

// saturate keeps commands in flight all the time, and returns how many are answered in a second.
func (l *lab) saturate(ctx context.Context, ns wire.Namespace, durable bool) (float64, error) {
	commands, err := l.newCommands(ns, durable)
	if err != nil {
		return 0, err
	}
	defer commands.Close()
	var answered atomic.Int64
	slots := make(chan struct{}, inFlight)
	n := 0
	sendUntil := func(end time.Time) {
		for ; time.Now().Before(end) && ctx.Err() == nil; n++ {
			slots <- struct{}{}
			commands.Send(n, func(openloop.Answer) {
				answered.Add(1)
				<-slots
			})
		}
	}
	sendUntil(time.Now().Add(l.lasting(2 * time.Second)))
	began, before := time.Now(), answered.Load()
	sendUntil(began.Add(l.lasting(6 * time.Second)))
	rate := float64(answered.Load()-before) / time.Since(began).Seconds()
	for range inFlight {
		slots <- struct{}{} // each is answered or given up
	}
	return rate, ctx.Err()
}

// offer puts a steady load on the worker.
func (l *lab) offer(ctx context.Context, ns wire.Namespace, durable bool, p openloop.Plan) (report openloop.Report, err error) {
	commands, err := l.newCommands(ns, durable)
	if err != nil {
		return report, err
	}
	defer commands.Close()
	report, err = openloop.Run(ctx, p, commands)
	if err == nil {
		err = ctx.Err()
	}
	if err == nil && report.Failed+report.Unanswered+report.Rejected > 0 {
		err = fmt.Errorf("commands that were not committed: %v", report.Reasons)
	}
	return report, err
}

// latencyPlot shows percentiles against the rate.
func latencyPlot(name, title string, reports []openloop.Report) plotted {
	p := plotted{name: name, title: title, x: axis{label: "commands/s"}, y: axis{label: "latency, ms", log: true},
		lines: []line{{name: "p50"}, {name: "p99"}, {name: "p99.9"}}}
	for _, r := range reports {
		for i, y := range []float64{r.Latency.P50, r.Latency.P99, r.Latency.P999} {
			p.lines[i].points = append(p.lines[i].points, point{r.PerSecond, max(y, 0.001)})
		}
	}
	return p
}

// millis writes a latency with three digits.
func millis(ms float64) string {
	switch {
	case ms < 10:
		return fmt.Sprintf("%.2f", ms)
	case ms < 100:
		return fmt.Sprintf("%.1f", ms)
	default:
		return count(ms)
	}
}
