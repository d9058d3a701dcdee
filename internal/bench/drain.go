package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/maestro-es/maestro/consumer"
	"github.com/maestro-es/maestro/eventstream"
	"github.com/maestro-es/maestro/internal/wire"
)

// drain is the basis of most experiments. Commands wait in the stream, then a worker begins. The
// time ends when the last of their events is in the event stream.
type drain struct {
	commands   int
	aggregates int
	partitions int
	events     int // of each command; 0 stands for 1
	size       int // of each event in bytes; 0 stands for the smallest
	hot        bool
	id         func(n int) string // names an aggregate; nil stands for its number
	readModels int
	written    writing
	tracing    tracing
	stream     eventstream.StreamConfig
	// watch is called now and then with the number of published events, unless it is nil.
	watch func(w *worker, events int, since time.Duration) error
}

// standard is the drain that experiments vary.
func (l *lab) standard() drain {
	return drain{commands: l.scaled(100_000), aggregates: 10_000, partitions: 16}
}

// rate runs a drain in a namespace of its own, and returns commands per second.
func (l *lab) rate(ctx context.Context, d drain) (float64, error) {
	ns := l.namespace()
	rate, err := l.drainIn(ctx, ns, "c", d)
	if err != nil {
		return 0, err
	}
	return rate, l.drop(ctx, ns)
}

// drainIn runs a drain in a namespace, which may exist already. The commands' ids begin with run.
func (l *lab) drainIn(ctx context.Context, ns wire.Namespace, run string, d drain) (float64, error) {
	if err := l.fill(ctx, ns, run, d); err != nil {
		return 0, fmt.Errorf("store the commands: %w", err)
	}
	stream, err := eventstream.Ensure(ctx, l.js, ns, d.stream)
	if err != nil {
		return 0, err
	}
	before, err := eventsIn(ctx, stream, ns)
	if err != nil {
		return 0, err
	}
	w, err := l.startWorker(ctx, workConfig{Namespace: ns, Partitions: d.partitions, ReadModels: d.readModels, Written: d.written,
		Stream: d.stream}, d.tracing)
	if err != nil {
		return 0, err
	}
	defer w.stop()
	ctx, cancel := w.during(ctx)
	defer cancel()
	began := time.Now()
	err = awaitEvents(ctx, stream, ns, before+d.commands*max(d.events, 1), func(out int) error {
		if d.watch == nil {
			return nil
		}
		return d.watch(w, out-before, time.Since(began))
	})
	return float64(d.commands) / time.Since(began).Seconds(), err
}

// awaitEvents waits until a stream holds n events. It calls watch now and then with the number of
// events, unless watch is nil.
func awaitEvents(ctx context.Context, stream jetstream.Stream, ns wire.Namespace, n int, watch func(n int) error) error {
	for {
		out, err := eventsIn(ctx, stream, ns)
		if err == nil && watch != nil {
			err = watch(out)
		}
		if err != nil || out >= n {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// eventsIn counts the events in a stream. It leaves out the publishers' fences, of which each
// partition has one.
func eventsIn(ctx context.Context, stream jetstream.Stream, ns wire.Namespace) (int, error) {
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(ns.Fences()))
	if err != nil {
		return 0, err
	}
	return int(info.State.Msgs) - len(info.State.Subjects), nil
}

// fill stores the commands in the stream.
func (l *lab) fill(ctx context.Context, ns wire.Namespace, run string, d drain) error {
	body := payload(d.events, d.size)
	js, err := jetstream.New(l.conn, jetstream.WithPublishAsyncMaxPending(min(8192, (64<<20)/len(body))))
	if err != nil {
		return err
	}
	if err := consumer.EnsureStream(ctx, js, ns, d.partitions, consumer.StreamConfig{}); err != nil {
		return err
	}
	for i := range d.commands {
		msg := &nats.Msg{Subject: ns.Send(tallyType, d.aggregate(i), addCommand), Data: body,
			Header: nats.Header{wire.HeaderMsgID: {run + "-" + strconv.Itoa(i)}}}
		if _, err := js.PublishMsgAsync(msg, jetstream.WithStallWait(time.Minute)); err != nil {
			return err
		}
	}
	select {
	case <-js.PublishAsyncComplete():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// aggregate returns the aggregate of the command with a number: each aggregate in turn, or the
// first one for every other command.
func (d drain) aggregate(i int) string {
	n := i % d.aggregates
	if d.hot && i%2 == 0 {
		n = 0
	}
	if d.id != nil {
		return d.id(n)
	}
	return strconv.Itoa(n)
}
