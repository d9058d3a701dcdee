package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/maestro-es/maestro/internal/openloop"
)

// costRates are the loads that the experiment cost compares, in commands a second.
var costRates = []float64{2000, 4000, 8000}

// costOfCommands is the experiment cost.
func costOfCommands(ctx context.Context, l *lab) (r result, err error) {
	r.notef("Processor time of each process for a command, at a steady load to 10,000 aggregates and 16 partitions, beside the path by hand "+
		"as in the experiment half. *Client* is the program that sends the load. The sides take turns, %d times, 5 s each time; times are "+
		"medians, in microseconds of one core for a command. A load below what the machine can do costs more for a command, since batches "+
		"are smaller then.", l.rounds)
	for _, mode := range []struct {
		name    string
		durable bool
	}{{"request", false}, {"durable command with reply", true}} {
		t := table{head: []string{mode.name + ", commands/s", "", "nats-server", "worker", "Postgres", "client", "all, µs", "of the hand's",
			"cores", "p50, ms", "p99, ms"}}
		if err := l.measureCosts(ctx, &t, mode.durable); err != nil {
			return r, fmt.Errorf("%s: %w", mode.name, err)
		}
		r.tables = append(r.tables, t)
	}
	return r, nil
}

// costs are the processor times of a command in microseconds, one for each round, and the latencies
// in milliseconds.
type costs struct {
	nats, worker, postgres, client, all []float64
	p50, p99                            []float64
}

// measureCosts measures one way of sending at each rate.
func (l *lab) measureCosts(ctx context.Context, t *table, durable bool) error {
	maestro := &half{name: "Maestro", lab: l, ns: l.namespace()}
	w, err := l.startWorker(ctx, workConfig{Namespace: maestro.ns, Partitions: 16}, sampled)
	if err != nil {
		return err
	}
	defer w.stop()
	ctx, cancel := w.during(ctx)
	defer cancel()
	maestro.process = w.process
	if err := l.awaitWorker(ctx, maestro.ns); err != nil {
		return err
	}
	byHand, err := l.startHalfByHand(ctx, byHandConfig{Durable: durable})
	if err != nil {
		return err
	}
	defer byHand.stop()
	ctx, release := byHand.process.during(ctx)
	defer release()
	for _, rate := range costRates {
		if err := l.compareCosts(ctx, t, []*half{maestro, byHand}, durable, rate); err != nil {
			return err
		}
	}
	return nil
}

// compareCosts makes the sides take turns at a rate. The first turn of each does not count.
func (l *lab) compareCosts(ctx context.Context, t *table, sides []*half, durable bool, rate float64) error {
	measured := make([]costs, len(sides))
	for round := range l.rounds + 1 {
		for i, side := range sides {
			var dry costs
			into := &measured[i]
			if round == 0 {
				into = &dry
			}
			if err := side.measureCost(ctx, into, durable, rate); err != nil {
				return err
			}
			if i > 0 { // Maestro trims its stream all the time
				if err := side.lab.emptied(ctx, side.ns); err != nil {
					return err
				}
			}
		}
	}
	for i, side := range sides {
		c, of := measured[i], ""
		if i == 0 {
			of = ratio(median(c.all), median(measured[1].all))
		}
		t.add(count(rate), side.name, micros(median(c.nats)), micros(median(c.worker)), micros(median(c.postgres)), micros(median(c.client)),
			micros(median(c.all)), of, fmt.Sprintf("%.2f", median(c.all)*rate/1e6), millis(median(c.p50)), millis(median(c.p99)))
		l.progressf("%s commands/s, %s: %s µs for a command", count(rate), side.name, micros(median(c.all)))
	}
	return nil
}

func micros(us float64) string { return fmt.Sprintf("%.0f", us) }

// measureCost offers a load and looks at the processes before and after.
func (h *half) measureCost(ctx context.Context, into *costs, durable bool, rate float64) error {
	before, err := h.times(ctx)
	if err != nil {
		return err
	}
	report, err := h.lab.offer(ctx, h.ns, durable, openloop.Plan{Rate: rate, MaxInFlight: 100_000, Duration: h.lab.lasting(5 * time.Second)})
	if err != nil {
		return err
	}
	after, err := h.times(ctx)
	if err != nil {
		return err
	}
	all := 0.0
	for i, to := range []*[]float64{&into.nats, &into.worker, &into.postgres, &into.client} {
		each := float64((after[i] - before[i]).Microseconds()) / float64(report.Commands)
		*to = append(*to, each)
		all += each
	}
	into.all = append(into.all, all)
	into.p50, into.p99 = append(into.p50, report.Latency.P50), append(into.p99, report.Latency.P99)
	return nil
}

// times returns the processor times so far of nats-server, the worker, all processes of Postgres,
// and this program.
func (h *half) times(ctx context.Context) (all [4]time.Duration, err error) {
	if all[0], err = processTime(h.lab.nats.cmd.Process.Pid); err != nil {
		return all, err
	}
	if all[1], err = processTime(h.process.cmd.Process.Pid); err != nil {
		return all, err
	}
	if all[2], err = h.lab.postgresTime(ctx); err != nil {
		return all, err
	}
	all[3], err = processTime(os.Getpid())
	return all, err
}
