package main

import (
	"context"
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/nats-io/nats.go"
	"github.com/tidwall/gjson"

	"github.com/maestro-es/maestro/internal/wire"
)

// patience bounds waits that would otherwise last for ever if an answer is lost.
const patience = 5 * time.Minute

// oneByOne is the latency of commands that are sent one at a time, in microseconds.
type oneByOne struct{ p50, p99, mean float64 }

// rounds are the figures of all rounds.
type rounds struct{ p50, p99, mean []float64 }

func (r *rounds) add(o oneByOne) {
	r.p50, r.p99, r.mean = append(r.p50, o.p50), append(r.p99, o.p99), append(r.mean, o.mean)
}

// latencyRounds is the factor by which the sides take more turns than elsewhere, because the
// differences are small and the machine varies.
const latencyRounds = 4

// oneAtATime is the experiment latency.
func oneAtATime(ctx context.Context, l *lab) (r result, err error) {
	n := l.scaled(1000)
	var floor rounds
	request, durable, err := l.askOneByOne(ctx, n, latencyRounds*l.rounds, func(ctx context.Context) error {
		f, err := l.runFloor(ctx, 1000, 16, n)
		floor.add(oneByOne{p50: f.LatencyP50, p99: f.LatencyP99})
		return err
	})
	if err != nil {
		return r, err
	}
	r.notef("%s commands to one aggregate, each after the answer to the one before, median of %d rounds in which the sides take turns. "+
		"The floor stores its command in JetStream and commits before it answers; both rows are compared with that.",
		count(float64(n)), latencyRounds*l.rounds)
	t := table{head: []string{"", "p50, µs", "of the floor's", "goal", "p99, µs", "of the floor's"}}
	row := func(name string, of rounds, goal string) {
		t.add(name, orNone(median(of.p50), count), ratio(median(of.p50), median(floor.p50)), goal,
			orNone(median(of.p99), count), ratio(median(of.p99), median(floor.p99)))
	}
	row("floor", floor, "")
	row("request", request, "≤ 1.20")
	row("durable command with reply", durable, "≤ 1.30")
	r.tables = append(r.tables, t)
	return r, nil
}

// askOneByOne measures requests and then durable commands on one aggregate, in turns. It calls
// before ahead of each turn.
func (l *lab) askOneByOne(ctx context.Context, n, turns int, before func(context.Context) error) (request, durable rounds, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ns := l.namespace()
	w, err := l.startWorker(ctx, workConfig{Namespace: ns, Partitions: 16}, sampled)
	if err != nil {
		return request, durable, err
	}
	defer w.stop()
	ctx, release := w.during(ctx)
	defer release()
	if err := l.awaitWorker(ctx, ns); err != nil {
		return request, durable, err
	}
	inbox := l.conn.NewInbox()
	replies, err := l.conn.SubscribeSync(inbox)
	if err != nil {
		return request, durable, err
	}
	defer func() { _ = replies.Unsubscribe() }()
	body := payload(1, 0)
	for range turns {
		if err := before(ctx); err != nil {
			return request, durable, err
		}
		asked, err := measureEach(n, func() (*nats.Msg, error) {
			return l.conn.RequestWithContext(ctx, ns.Do(tallyType, "one", addCommand), body)
		})
		if err != nil {
			return request, durable, err
		}
		request.add(asked)
		sent, err := measureEach(n, func() (*nats.Msg, error) {
			msg := &nats.Msg{Subject: ns.Send(tallyType, "one", addCommand), Data: body, Header: nats.Header{wire.HeaderReply: {inbox}}}
			if _, err := l.js.PublishMsg(ctx, msg); err != nil {
				return nil, err
			}
			return replies.NextMsgWithContext(ctx)
		})
		if err != nil {
			return request, durable, err
		}
		durable.add(sent)
	}
	return request, durable, nil
}

// awaitWorker waits until a worker handles commands.
func (l *lab) awaitWorker(ctx context.Context, ns wire.Namespace) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		answer, err := l.conn.RequestWithContext(ctx, ns.Do(tallyType, "first", addCommand), payload(1, 0))
		if err == nil && gjson.GetBytes(answer.Data, "status").Str == "committed" {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("no worker begins: %w", ctx.Err())
		case <-time.After(time.Millisecond):
		}
	}
}

// measureEach calls do n times, one after the other. The first tenth warms up.
func measureEach(n int, do func() (*nats.Msg, error)) (o oneByOne, err error) {
	h := hdrhistogram.New(1, time.Minute.Microseconds(), 3)
	for i := range n {
		start := time.Now()
		reply, err := do()
		took := time.Since(start)
		if err != nil {
			return o, err
		}
		if gjson.GetBytes(reply.Data, "status").Str != "committed" {
			return o, fmt.Errorf("a command was not committed: %s", reply.Data)
		}
		if i >= n/10 {
			if err := h.RecordValue(took.Microseconds()); err != nil {
				return o, err
			}
		}
	}
	return oneByOne{p50: float64(h.ValueAtPercentile(50)), p99: float64(h.ValueAtPercentile(99)), mean: h.Mean()}, nil
}
