package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/maestro-es/maestro/eventstream"
	"github.com/maestro-es/maestro/internal/wire"
)

// memoryOfCache is the experiment memory. A worker gets the first command of more and more
// aggregates. It is then asked how much memory it uses while it has nothing to do.
func memoryOfCache(ctx context.Context, l *lab) (r result, err error) {
	const steps = 4
	n := l.scaled(1_000_000)
	ns := l.namespace()
	w, err := l.startWorker(ctx, workConfig{Namespace: ns, Partitions: 16, CacheBytes: 1 << 30}, sampled)
	if err != nil {
		return r, err
	}
	defer w.stop()
	ctx, cancel := w.during(ctx)
	defer cancel()
	r.notef("A worker that has handled a command of each of so many small aggregates, all of which stay in memory, with `CacheBytes` of " +
		"1 GiB. It is asked when it has nothing to do; the heap is what is in use after a collection.")
	t := table{head: []string{"aggregates", "heap, MiB", "bytes for each", "resident, MiB", "goal"}}
	p := plotted{name: "memory", x: axis{label: "aggregates in memory"}, y: axis{label: "MiB"},
		lines: []line{{name: "heap"}, {name: "resident"}}}
	var empty usage
	for step := range steps + 1 {
		from, to := max(step-1, 0)*n/steps, step*n/steps
		m, err := l.remember(ctx, w, ns, from, to)
		if err != nil {
			return r, err
		}
		l.progressf("%s aggregates: %s MiB", count(float64(to)), mib(m.Heap))
		goal := ""
		if to == 1_000_000 {
			goal = "≤ 1,024 MiB"
		}
		if step == 0 {
			empty = m
		}
		t.add(count(float64(to)), mib(m.Heap), orNone(float64(m.Heap-empty.Heap)/max(float64(to), 1), count), mib(m.Resident), goal)
		p.lines[0].points = append(p.lines[0].points, point{float64(to), float64(m.Heap) / (1 << 20)})
		p.lines[1].points = append(p.lines[1].points, point{float64(to), float64(m.Resident) / (1 << 20)})
	}
	r.tables, r.plots = append(r.tables, t), append(r.plots, p)
	return r, nil
}

// remember makes a worker handle a command of each aggregate from one number to another, and then
// asks what the worker uses.
func (l *lab) remember(ctx context.Context, w *worker, ns wire.Namespace, from, to int) (u usage, err error) {
	d := drain{commands: to - from, aggregates: max(to-from, 1), partitions: 16, id: func(n int) string { return strconv.Itoa(from + n) }}
	if err := l.fill(ctx, ns, "c-"+strconv.Itoa(from), d); err != nil {
		return u, err
	}
	stream, err := eventstream.Ensure(ctx, l.js, ns, eventstream.StreamConfig{})
	if err != nil {
		return u, err
	}
	if err := awaitEvents(ctx, stream, ns, to, nil); err != nil {
		return u, err
	}
	return w.usage()
}

func mib(bytes int64) string { return fmt.Sprintf("%d", bytes>>20) }
