package main

import (
	"context"
	"fmt"
)

// againstPartitions is the experiment partitions.
func againstPartitions(ctx context.Context, l *lab) (r result, err error) {
	variants := l.varied("partitions", []int{1, 4, 16, 64, 256}, func(d *drain, n int) { d.partitions = n })
	rates, err := l.compare(ctx, variants)
	if err != nil {
		return r, err
	}
	r.notef("%s commands on 10,000 aggregates.", count(float64(l.standard().commands)))
	r.sweep("partitions", "partitions", variants, rates)
	return r, nil
}

// againstAggregates is the experiment aggregates.
func againstAggregates(ctx context.Context, l *lab) (r result, err error) {
	variants := l.varied("aggregates", []int{100, 1_000, 10_000, 100_000}, func(d *drain, n int) { d.aggregates = n })
	rates, err := l.compare(ctx, variants)
	if err != nil {
		return r, err
	}
	r.notef("%s commands, 16 partitions. The aggregates are new, and looked for in the log at their first command: "+
		"with the most of them, that is every command.", count(float64(l.standard().commands)))
	r.sweep("aggregates", "aggregates", variants, rates)
	return r, nil
}

// againstSize is the experiment size.
func againstSize(ctx context.Context, l *lab) (r result, err error) {
	variants := l.varied("bytes", []int{100, 1 << 10, 4 << 10, 16 << 10, 64 << 10}, func(d *drain, n int) {
		d.size, d.commands = n, min(d.commands, l.scaled(200<<20)/n)
	})
	rates, err := l.compare(ctx, variants)
	if err != nil {
		return r, err
	}
	r.notef("Up to %s commands or 200 MiB on 10,000 aggregates, 16 partitions. A command is as large as its event.",
		count(float64(l.standard().commands)))
	t := table{head: []string{"bytes of an event", "commands", "commands/s", "MiB/s of events"}}
	for i, v := range variants {
		t.add(count(v.x), count(float64(v.commands)), count(rates[i]), fmt.Sprintf("%.0f", rates[i]*v.x/(1<<20)))
	}
	r.tables = append(r.tables, t)
	r.plotRates("size", "bytes of an event", variants, rates)
	return r, nil
}

// againstEvents is the experiment events.
func againstEvents(ctx context.Context, l *lab) (r result, err error) {
	variants := l.varied("events", []int{1, 2, 5, 10, 50}, func(d *drain, n int) {
		d.events, d.commands = n, max(2*d.commands/(n+1), 2_000)
	})
	rates, err := l.compare(ctx, variants)
	if err != nil {
		return r, err
	}
	r.notef("10,000 aggregates, 16 partitions.")
	t := table{head: []string{"events of a command", "commands", "commands/s", "events/s"}}
	for i, v := range variants {
		t.add(count(v.x), count(float64(v.commands)), count(rates[i]), count(rates[i]*v.x))
	}
	r.tables = append(r.tables, t)
	r.plotRates("events", "events of a command", variants, rates)
	return r, nil
}
