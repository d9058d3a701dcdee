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

// besideHand is the experiment half: the latencies at half of saturation, and what the machine gives at that rate to a path with no
// framework.
func besideHand(ctx context.Context, l *lab) (r result, err error) {
	r.notef("A steady load as in the experiment load, at half of what Maestro does with %s commands in flight all the time. *By hand* is the "+
		"path of the floor program, taking requests, or commands from the stream, as they come, and answering after the commit "+
		"(`internal/bench/byhand.go`); it gets the same rate. The sides take turns, %d times, 5 s each time; latencies are in milliseconds.",
		count(inFlight), halfRounds*l.rounds)
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
				name, goal = "the same by hand", ""
			}
			t.add(name, count(side.capacity), count(sides[0].capacity/2), millis(median(side.p50)), millis(median(side.p99)),
				millis(slices.Min(side.p99)), millis(slices.Max(side.p99)), goal)
		}
	}
	r.tables = append(r.tables, t)
	return r, nil
}

// halfRounds is how many times more often than elsewhere the sides take turns: a stop of the disk spoils a round, and the machine varies.
const halfRounds = 4

// half is one side of the comparison.
type half struct {
	ns       wire.Namespace
	capacity float64
	p50, p99 []float64 // of each round
}

// halves measures Maestro and the path by hand, in this order.
func (l *lab) halves(ctx context.Context, durable bool) (sides []*half, err error) {
	sides = []*half{{ns: l.namespace()}, {ns: l.namespace()}}
	maestro, byHand := sides[0], sides[1]
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
	if err := consumer.EnsureStream(ctx, l.js, byHand.ns, 16, consumer.StreamConfig{}); err != nil {
		return nil, err
	}
	p, err := l.startByHand(ctx, byHandConfig{Namespace: byHand.ns, Partitions: 16, Durable: durable})
	if err != nil {
		return nil, err
	}
	defer p.stop()
	ctx, release := p.during(ctx)
	defer release()
	for _, side := range sides {
		if side.capacity, err = l.saturate(ctx, side.ns, durable); err != nil {
			return nil, err
		}
	}
	l.progressf("saturation: Maestro %s, by hand %s commands/s", count(maestro.capacity), count(byHand.capacity))
	for round := range halfRounds * l.rounds {
		for _, side := range sides {
			report, err := l.offer(ctx, side.ns, durable, openloop.Plan{Rate: maestro.capacity / 2, MaxInFlight: 100_000,
				WarmUp: l.lasting(time.Second), Duration: l.lasting(5 * time.Second)})
			if err != nil {
				return nil, err
			}
			side.p50, side.p99 = append(side.p50, report.Latency.P50), append(side.p99, report.Latency.P99)
		}
		// Maestro's stream is trimmed all the time: what nats-server knows of the other burdens both.
		if err := l.emptied(ctx, byHand.ns); err != nil {
			return nil, err
		}
		l.progressf("round %d of %d: p50 and p99 of Maestro %s and %s ms, by hand %s and %s ms", round+1, halfRounds*l.rounds,
			millis(maestro.p50[round]), millis(maestro.p99[round]), millis(byHand.p50[round]), millis(byHand.p99[round]))
	}
	return sides, nil
}

// emptied removes the commands from a namespace's stream.
func (l *lab) emptied(ctx context.Context, ns wire.Namespace) error {
	stream, err := l.js.Stream(ctx, ns.CommandStream())
	if err != nil {
		return err
	}
	return stream.Purge(ctx)
}
