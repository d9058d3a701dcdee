package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/maestro-es/maestro/internal/openloop"
	"github.com/maestro-es/maestro/tests/hostile"
)

const (
	goodRate    = 500 // commands a second that are measured
	hostileRate = 40  // commands a second with a quick bad habit
	everyRate   = 2   // commands a second with any bad habit: some hold up their partition for ten seconds
)

// besideHostile is the experiment hostile.
func besideHostile(ctx context.Context, l *lab) (r result, err error) {
	r.notef("%d requests a second to good aggregates, while %d commands a second have a quick bad habit of the list in `tests/hostile/`, "+
		"taken at random, in the same 16 partitions, or %d a second any habit of the list; and beside a harmless load that takes the same "+
		"processor time of all processes. The sides take turns, %d times, 5 s each time; latencies are those of the good commands, in "+
		"milliseconds. *Quick habits* leaves out those that are slow on purpose, or that the lane tries several times: a command waits "+
		"for the one before it in its partition, whatever that does.",
		goodRate, hostileRate, everyRate, halfRounds*l.rounds)
	t := table{head: []string{"good commands beside", "p50, median", "p99, median", "p99, lowest", "p99, highest",
		"p99, of the harmless", "goal"}}
	for _, quick := range []bool{true, false} {
		if err := l.measureHostile(ctx, &t, quick); err != nil {
			return r, err
		}
	}
	r.tables = append(r.tables, t)
	return r, nil
}

// measureHostile compares a hostile load with a harmless one.
func (l *lab) measureHostile(ctx context.Context, t *table, quick bool) error {
	side := &half{lab: l, ns: l.namespace()}
	w, err := l.startWorker(ctx, workConfig{Namespace: side.ns, Partitions: 16, Hostile: true}, sampled)
	if err != nil {
		return err
	}
	defer w.stop()
	ctx, cancel := w.during(ctx)
	defer cancel()
	side.process = w.process
	if err := l.awaitWorker(ctx, side.ns); err != nil {
		return err
	}
	trials, name, rate := hostile.Trials(), "every habit", everyRate
	if quick {
		rate = hostileRate
		trials, name = slices.DeleteFunc(trials, hostile.Trial.TakesTime), "quick habits"
	}
	bad, good, err := side.alternate(ctx, trials, rate)
	if err != nil {
		return err
	}
	t.add(name, millis(median(bad.p50)), millis(median(bad.p99)), millis(slices.Min(bad.p99)), millis(slices.Max(bad.p99)),
		ratio(median(bad.p99), median(good.p99)), "≤ 2.00")
	t.add("a harmless load", millis(median(good.p50)), millis(median(good.p99)), millis(slices.Min(good.p99)),
		millis(slices.Max(good.p99)), "", "")
	return nil
}

// alternate makes the loads take turns. Turns before them adapt the harmless load, and do not count.
func (h *half) alternate(ctx context.Context, trials []hostile.Trial, perSecond int) (bad, good rounds, err error) {
	rate, err := h.adapt(ctx, trials, perSecond)
	for round := 0; round < halfRounds*h.lab.rounds && err == nil; round++ {
		var hostile, harmless time.Duration
		hostile, harmless, err = h.both(ctx, &bad, &good, trials, perSecond, rate)
		if err == nil {
			h.lab.progressf("round %d: %s and %s of processor time; p99 %s and %s ms", round+1, hostile.Round(time.Millisecond),
				harmless.Round(time.Millisecond), millis(bad.p99[round]), millis(good.p99[round]))
		}
	}
	return bad, good, err
}

// adaptations is how often the harmless load is adapted.
const adaptations = 4

// adapt finds the rate at which the harmless load takes as much processor time as the hostile load.
func (h *half) adapt(ctx context.Context, trials []hostile.Trial, perSecond int) (rate float64, err error) {
	rate = float64(perSecond)
	var alone time.Duration
	for range 2 { // the first turn of a worker costs more
		if alone, err = h.turn(ctx, &rounds{}, func(context.Context) error { return nil }); err != nil {
			return rate, err
		}
	}
	for range adaptations {
		hostile, harmless, err := h.both(ctx, &rounds{}, &rounds{}, trials, perSecond, rate)
		if err != nil {
			return rate, err
		}
		wanted, took := max(hostile-alone, time.Millisecond), max(harmless-alone, time.Millisecond)
		rate = min(max(rate*min(float64(wanted)/float64(took), 8), 1), 10_000)
		h.lab.progressf("hostile %s, harmless %s, alone %s: the harmless load is %.0f commands/s", hostile.Round(time.Millisecond),
			harmless.Round(time.Millisecond), alone.Round(time.Millisecond), rate)
	}
	return rate, nil
}

// both takes a turn with each load.
func (h *half) both(ctx context.Context, bad, good *rounds, trials []hostile.Trial, perSecond int, rate float64,
) (hostile, harmless time.Duration, err error) {
	hostile, err = h.turn(ctx, bad, func(ctx context.Context) error { return h.misbehave(ctx, trials, perSecond) })
	if err != nil {
		return hostile, harmless, err
	}
	harmless, err = h.turn(ctx, good, func(ctx context.Context) error { return h.behave(ctx, rate) })
	return hostile, harmless, err
}

// turn offers the good load with another load beside it, and returns the processor time of all
// processes.
func (h *half) turn(ctx context.Context, into *rounds, beside func(context.Context) error) (took time.Duration, err error) {
	before, err := h.times(ctx)
	if err != nil {
		return 0, err
	}
	during, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- beside(during) }()
	report, err := h.lab.offer(ctx, h.ns, false, openloop.Plan{Rate: goodRate, MaxInFlight: 100_000, Duration: h.lab.lasting(5 * time.Second)})
	stop()
	if err := errors.Join(err, <-ended); err != nil {
		return 0, err
	}
	after, err := h.times(ctx)
	for i := range after {
		took += after[i] - before[i]
	}
	into.add(oneByOne{p50: report.Latency.P50, p99: report.Latency.P99})
	return took, err
}

// behave is the harmless load.
func (h *half) behave(ctx context.Context, rate float64) error {
	commands, err := h.lab.newCommands(h.ns, false)
	if err != nil {
		return err
	}
	defer commands.Close()
	_, err = openloop.Run(ctx, openloop.Plan{Rate: rate, MaxInFlight: 100_000, Duration: time.Hour}, commands)
	return err
}

// misbehave is the hostile load. Each of its commands gets an answer.
func (h *half) misbehave(ctx context.Context, trials []hostile.Trial, rate int) error {
	var sent sync.WaitGroup
	var mu sync.Mutex
	var unanswered error
	answers, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	tick := time.NewTicker(time.Second / time.Duration(rate))
	defer tick.Stop()
	for ctx.Err() == nil {
		one := trials[rand.IntN(len(trials))]
		data, err := json.Marshal(one.Data)
		if err != nil {
			return err
		}
		sent.Go(func() {
			subject := h.ns.Do(hostile.Definition.Name(), fmt.Sprint("bad-", rand.IntN(1000)), one.Command)
			if _, err := h.lab.conn.RequestWithContext(answers, subject, data); err != nil {
				mu.Lock()
				defer mu.Unlock()
				unanswered = errors.Join(unanswered, fmt.Errorf("%s: %w", one.Name, err))
			}
		})
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	sent.Wait()
	return unanswered
}
