package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/maestro-es/maestro/consumer"
	"github.com/maestro-es/maestro/internal/openloop"
	"github.com/maestro-es/maestro/internal/wire"
)

// besideHand is the experiment half. It measures the latencies at half of saturation, and compares
// them with those of a path with no framework on the same machine at the same rate.
func besideHand(ctx context.Context, l *lab) (r result, err error) {
	r.notef("A steady load as in the experiment load, at half of what Maestro does with %s commands in flight all the time. *By hand* is the "+
		"path of the floor program at its leanest: one loop and one transaction for all partitions, taking requests, or commands from the "+
		"stream, as they come, and answering after the commit (`internal/bench/byhand.go`); *no events* is the same without the event stream. "+
		"Each side has a nats-server of its own and gets the same rate. The sides take turns, %d times, 5 s each time; latencies are in "+
		"milliseconds.", count(inFlight), halfRounds*l.rounds)
	t := table{head: []string{"", "saturation, commands/s", "asked", "p50, median", "p99, median", "p99, lowest", "p99, highest",
		"goal, p99"}}
	for _, mode := range []struct {
		name    string
		durable bool
	}{{"request", false}, {"durable command with reply", true}} {
		sides, err := l.halves(ctx, mode.durable)
		if err != nil {
			return r, fmt.Errorf("%s: %w", mode.name, err)
		}
		for i, side := range sides {
			name, goal := mode.name, "≤ 10"
			if i > 0 {
				name, goal = side.name, ""
			}
			t.add(name, count(side.capacity), count(sides[0].capacity/2), millis(median(side.p50)), millis(median(side.p99)),
				millis(slices.Min(side.p99)), millis(slices.Max(side.p99)), goal)
		}
	}
	r.tables = append(r.tables, t)
	return r, nil
}

// halfRounds is the factor by which the sides take more turns than elsewhere, because a stop of the
// disk spoils a round and the machine varies.
const halfRounds = 4

// half is one side of the comparison.
type half struct {
	name     string
	lab      *lab // has a nats-server of its own
	ns       wire.Namespace
	process  *process
	capacity float64
	p50, p99 []float64 // of each round
}

// halves measures Maestro, then the paths by hand.
func (l *lab) halves(ctx context.Context, durable bool) (sides []*half, err error) {
	maestro := &half{name: "Maestro", lab: l, ns: l.namespace()}
	w, err := l.startWorker(ctx, workConfig{Namespace: maestro.ns, Partitions: 16}, sampled)
	if err != nil {
		return nil, err
	}
	defer w.stop()
	ctx, cancel := w.during(ctx)
	defer cancel()
	if err := l.awaitWorker(ctx, maestro.ns); err != nil {
		return nil, err
	}
	byHand, err := l.startHalfByHand(ctx, byHandConfig{Durable: durable})
	if err != nil {
		return nil, err
	}
	defer byHand.stop()
	ctx, release := byHand.process.during(ctx)
	defer release()
	silent, err := l.startHalfByHand(ctx, byHandConfig{Durable: durable, Silent: true})
	if err != nil {
		return nil, err
	}
	defer silent.stop()
	ctx, releaseSilent := silent.process.during(ctx)
	defer releaseSilent()
	sides = []*half{maestro, byHand, silent}
	return sides, l.compareHalves(ctx, sides, durable)
}

// startHalfByHand starts a path by hand beside Maestro.
func (l *lab) startHalfByHand(ctx context.Context, c byHandConfig) (side *half, err error) {
	side = &half{name: "the same by hand", ns: l.namespace()}
	if c.Silent {
		side.name += ", no events"
	}
	if side.lab, err = l.beside(ctx); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			side.lab.leave()
		}
	}()
	if err := consumer.EnsureStream(ctx, side.lab.js, side.ns, 16, consumer.StreamConfig{}); err != nil {
		return nil, err
	}
	c.Namespace, c.Partitions = side.ns, 16
	side.process, err = side.lab.startByHand(ctx, c)
	return side, err
}

func (h *half) stop() {
	h.process.stop()
	h.lab.leave()
}

// compareHalves finds out the highest rate of each side. It then makes the sides take turns at half
// of the first side's rate.
func (l *lab) compareHalves(ctx context.Context, sides []*half, durable bool) (err error) {
	for _, side := range sides {
		if side.capacity, err = side.lab.saturate(ctx, side.ns, durable); err != nil {
			return err
		}
		l.progressf("saturation, %s: %s commands/s", side.name, count(side.capacity))
	}
	for round := range halfRounds * l.rounds {
		for i, side := range sides {
			report, err := side.lab.offer(ctx, side.ns, durable, openloop.Plan{Rate: sides[0].capacity / 2, MaxInFlight: 100_000,
				WarmUp: l.lasting(time.Second), Duration: l.lasting(5 * time.Second)})
			if err != nil {
				return err
			}
			side.p50, side.p99 = append(side.p50, report.Latency.P50), append(side.p99, report.Latency.P99)
			if i > 0 { // Maestro trims its stream all the time
				if err := side.lab.emptied(ctx, side.ns); err != nil {
					return err
				}
			}
			l.progressf("round %d of %d, %s: p50 %s ms, p99 %s ms", round+1, halfRounds*l.rounds, side.name,
				millis(report.Latency.P50), millis(report.Latency.P99))
		}
	}
	return nil
}

// emptied removes the commands from a namespace's stream.
func (l *lab) emptied(ctx context.Context, ns wire.Namespace) error {
	stream, err := l.js.Stream(ctx, ns.CommandStream())
	if err != nil {
		return err
	}
	return stream.Purge(ctx)
}
