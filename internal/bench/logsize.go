package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/maestro-es/maestro/consumer"
	"github.com/maestro-es/maestro/internal/wire"
)

// logSizes are the numbers of events that logs have.
var logSizes = []int{10_000, 1_000_000, 10_000_000}

// ofLog is a log of some size, and what was measured with it.
type ofLog struct {
	bulk
	rates, starts []float64
}

// againstLog is the experiment log: what the log holds already must not matter to a command.
func againstLog(ctx context.Context, l *lab) (r result, err error) {
	logs, err := l.fillLogs(ctx)
	if err != nil {
		return r, err
	}
	for round := range 1 + l.rounds {
		for _, log := range logs {
			if err := log.round(ctx, l, round); err != nil {
				return r, fmt.Errorf("%d events: %w", log.events, err)
			}
		}
	}
	r.notef("The log is filled by SQL, with one event and one receipt for each aggregate, then vacuumed. %s commands go to %s aggregates "+
		"that are spread over it; the cost of a command is set against that with the smallest log. In the first round each page of the indexes "+
		"is changed for the first time since the checkpoint, and goes into the write-ahead log whole. "+
		"Every round adds its events to "+
		"each log, also to the smallest. The start is from the start of the process to the outcome of a command that waited in "+
		"the stream. 16 partitions, median of %d rounds after the first, in which the logs take turns.",
		count(float64(longer(l.standard()).commands)), count(bulkAggregates), l.rounds)
	t := table{head: []string{"events in the log", "tables", "first round, commands/s", "commands/s", "cost of a command", "goal",
		"start, ms"}}
	p := plotted{name: "log", x: axis{label: "events in the log", log: true}, y: axis{label: "commands/s"},
		lines: []line{{name: "plain tables"}, {name: "16 tables by hash"}}}
	for i, log := range logs {
		side, goal := i/len(logSizes), ""
		if i%len(logSizes) == len(logSizes)-1 {
			goal = "≤ 1.15"
		}
		rate, smallest := median(log.rates[1:]), median(logs[len(logSizes)*side].rates[1:])
		t.add(count(float64(log.events)), p.lines[side].name, count(log.rates[0]), count(rate), ratio(smallest, rate), goal,
			count(median(log.starts)))
		p.lines[side].points = append(p.lines[side].points, point{float64(log.events), rate})
	}
	r.tables, r.plots = append(r.tables, t), append(r.plots, p)
	return r, nil
}

// fillLogs makes a log of each size, first on plain tables, then on such as are divided by hash. The two sides are filled at the same time.
func (l *lab) fillLogs(ctx context.Context) (logs []*ofLog, err error) {
	for _, eventPartitions := range []int{0, 16} {
		for _, events := range logSizes {
			logs = append(logs, &ofLog{bulk: bulk{ns: l.namespace(), events: max(l.scaled(events), bulkAggregates),
				eventPartitions: eventPartitions}})
		}
	}
	var filled sync.WaitGroup
	var failed [2]error
	for side := range failed {
		filled.Go(func() {
			for _, log := range logs[side*len(logSizes) : (side+1)*len(logSizes)] {
				start := time.Now()
				if failed[side] = l.fillLog(ctx, log.bulk); failed[side] != nil {
					return
				}
				l.progressf("filled a log with %s events in %s", count(float64(log.events)), time.Since(start).Round(time.Second))
			}
		})
	}
	filled.Wait()
	return logs, errors.Join(failed[:]...)
}

// longer is a drain in which the noise of the machine matters less.
func longer(d drain) drain {
	d.commands *= 2
	return d
}

// round measures a start, then a drain.
func (o *ofLog) round(ctx context.Context, l *lab, round int) error {
	d := longer(l.standard())
	d.id, d.stream = o.known, bounded
	start, err := l.startUp(ctx, o.ns, fmt.Sprintf("start-%d", round), o.known(0))
	if err != nil {
		return fmt.Errorf("start: %w", err)
	}
	rate, err := l.drainIn(ctx, o.ns, fmt.Sprintf("c-%d", round), d)
	if err != nil {
		return err
	}
	o.rates, o.starts = append(o.rates, rate), append(o.starts, start)
	l.progressf("round %d of %d, %s events, %d tables: %s commands/s, start %.0f ms", round, l.rounds, count(float64(o.events)),
		max(o.eventPartitions, 1), count(rate), start)
	return nil
}

// startUp is the time in milliseconds from the start of a worker process to the outcome of a command that waits.
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
