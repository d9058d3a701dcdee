package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/maestro-es/maestro/consumer"
	"github.com/maestro-es/maestro/internal/wire"
)

// logSizes are the sizes of the logs, in events.
var logSizes = []int{10_000, 1_000_000, 10_000_000}

// ofLog holds the measurements with logs of one size. There is one log that is used in every round,
// or one for each round so that the log stays small.
type ofLog struct {
	events, eventPartitions int
	logs                    []bulk
	rates, starts           []float64 // of each round
}

// logRounds is how often each log is measured, the first time included.
func (l *lab) logRounds() int { return 1 + 2*l.rounds }

// againstLog is the experiment log. The events that the log already holds must not matter to a
// command.
func againstLog(ctx context.Context, l *lab) (r result, err error) {
	r.notef("The logs are filled by SQL, with one event and one receipt for each aggregate, then vacuumed; a checkpoint follows. %s commands "+
		"go to %s aggregates that are spread over the log. In the first round each page of the indexes is changed for the first time since the "+
		"checkpoint, and goes into the write-ahead log whole. The %d rounds after it come in turns, forwards and backwards, and the cost of a "+
		"command is set against that with the smallest log in the same round; the medians are shown. The smallest log is another one in each "+
		"round, the others grow by a round's events. The start is from the start of the process to the outcome of a command that waited in "+
		"the stream. 16 partitions.",
		count(float64(longer(l.standard()).commands)), count(bulkAggregates), l.logRounds()-1)
	t := table{head: []string{"events in the log", "tables", "first round, commands/s", "cost", "then, commands/s", "cost", "goal",
		"start, ms"}}
	p := plotted{name: "log", x: axis{label: "events in the log", log: true}, y: axis{label: "commands/s"}}
	for _, side := range []struct {
		tables          string
		eventPartitions int
	}{{"plain tables", 0}, {"16 tables by hash", 16}} {
		sizes, err := l.onLogs(ctx, side.eventPartitions)
		if err != nil {
			return r, fmt.Errorf("%s: %w", side.tables, err)
		}
		drawn := line{name: side.tables}
		for i, size := range sizes {
			goal := ""
			if i == len(sizes)-1 {
				goal = "≤ 1.15"
			}
			cost, rate := size.cost(sizes[0]), median(size.rates[1:])
			t.add(count(float64(size.events)), side.tables, count(size.rates[0]), fmt.Sprintf("%.2f", cost[0]), count(rate),
				fmt.Sprintf("%.2f", median(cost[1:])), goal, count(median(size.starts)))
			drawn.points = append(drawn.points, point{float64(size.events), rate})
			l.progressf("%s events, %s: cost of a command in each round %.2f", count(float64(size.events)), side.tables, cost)
		}
		p.lines = append(p.lines, drawn)
	}
	r.tables, r.plots = append(r.tables, t), append(r.plots, p)
	return r, nil
}

// onLogs makes the logs of all sizes, measures with them in turns, and drops them.
func (l *lab) onLogs(ctx context.Context, eventPartitions int) (sizes []*ofLog, err error) {
	sizes, err = l.fillLogs(ctx, eventPartitions)
	if err != nil {
		return nil, err
	}
	for round := range l.logRounds() {
		turn := slices.Clone(sizes)
		if round%2 == 1 {
			slices.Reverse(turn) // so that none of them is always early
		}
		for _, size := range turn {
			if err := size.round(ctx, l, round); err != nil {
				return nil, fmt.Errorf("%d events: %w", size.events, err)
			}
		}
	}
	for _, size := range sizes {
		for _, log := range size.logs {
			if err := l.drop(ctx, log.ns); err != nil {
				return nil, err
			}
		}
	}
	return sizes, nil
}

// cost returns the cost of a command as a multiple of the cost with another log, in each round.
func (o *ofLog) cost(other *ofLog) (ratios []float64) {
	for round, rate := range o.rates {
		ratios = append(ratios, other.rates[round]/rate)
	}
	return ratios
}

// fillLogs makes the logs of each size.
func (l *lab) fillLogs(ctx context.Context, eventPartitions int) (sizes []*ofLog, err error) {
	for i, events := range logSizes {
		copies, sets := 1, l.logRounds()
		if i == 0 {
			copies, sets = sets, copies
		}
		size := &ofLog{events: max(l.scaled(events), sets*bulkAggregates), eventPartitions: eventPartitions}
		start := time.Now()
		for range copies {
			log := bulk{ns: l.namespace(), events: size.events, eventPartitions: eventPartitions, sets: sets}
			if err := l.fillLog(ctx, log); err != nil {
				return nil, err
			}
			size.logs = append(size.logs, log)
		}
		l.progressf("filled %d with %s events in %s", copies, count(float64(size.events)), time.Since(start).Round(time.Second))
		sizes = append(sizes, size)
	}
	return sizes, nil
}

// longer is a drain in which the noise of the machine matters less.
func longer(d drain) drain {
	d.commands *= 2
	return d
}

// round measures a start, then a drain.
func (o *ofLog) round(ctx context.Context, l *lab, round int) error {
	log := o.logs[round%len(o.logs)]
	d := longer(l.standard())
	d.id, d.stream = log.known(round%log.sets), bounded
	start, err := l.startUp(ctx, log.ns, fmt.Sprintf("start-%d", round), d.id(0))
	if err != nil {
		return fmt.Errorf("start: %w", err)
	}
	rate, err := l.drainIn(ctx, log.ns, fmt.Sprintf("c-%d", round), d)
	if err != nil {
		return err
	}
	o.rates, o.starts = append(o.rates, rate), append(o.starts, start)
	l.progressf("round %d of %d, %s events, %d tables: %s commands/s, start %.0f ms", round, l.logRounds()-1, count(float64(o.events)),
		max(o.eventPartitions, 1), count(rate), start)
	return nil
}

// startUp returns the time in milliseconds from the start of a worker process to the outcome of a
// waiting command.
func (l *lab) startUp(ctx context.Context, ns wire.Namespace, command, id string) (float64, error) {
	if err := consumer.EnsureStream(ctx, l.js, ns, bulkPartitions, consumer.StreamConfig{}); err != nil {
		return 0, err
	}
	inbox := l.conn.NewInbox()
	outcome, err := l.conn.SubscribeSync(inbox)
	if err != nil {
		return 0, err
	}
	defer func() { _ = outcome.Unsubscribe() }()
	msg := &nats.Msg{Subject: ns.Send(tallyType, id, addCommand), Data: payload(1, 0),
		Header: nats.Header{wire.HeaderCommandID: {command}, wire.HeaderReply: {inbox}}}
	if _, err := l.js.PublishMsg(ctx, msg); err != nil {
		return 0, err
	}
	start := time.Now()
	w, err := l.startWorker(ctx, workConfig{Namespace: ns, Partitions: bulkPartitions, Stream: bounded}, sampled)
	if err != nil {
		return 0, err
	}
	defer w.stop()
	waiting, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_, err = outcome.NextMsgWithContext(waiting)
	return float64(time.Since(start).Milliseconds()), err
}
