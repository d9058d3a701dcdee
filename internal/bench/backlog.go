package main

import (
	"context"
	"fmt"
	"time"
)

// backlog is the experiment backlog.
func backlog(ctx context.Context, l *lab) (r result, err error) {
	d := l.standard()
	d.commands = l.scaled(1_000_000)
	var seen []point
	var end usage
	d.watch = func(w *worker, events int, since time.Duration) (err error) {
		if at := since.Seconds(); len(seen) == 0 || at >= seen[len(seen)-1].x+1 || events == d.commands {
			seen = append(seen, point{at, float64(events)})
		}
		if events == d.commands {
			end, err = w.usage()
		}
		return err
	}
	rate, err := l.rate(ctx, d)
	if err != nil {
		return r, err
	}
	r.notef("%s commands for 10,000 aggregates wait in the stream, 16 partitions, when a worker begins.", count(float64(d.commands)))
	t := table{head: []string{"commands", "seconds", "commands/s", "slowest second", "processor time of the worker, µs a command",
		"heap at the end, MiB", "resident, MiB"}}
	p := plotted{name: "backlog", x: axis{label: "seconds"}, y: axis{label: "commands/s"}, lines: []line{{}}}
	slowest := rate
	for i := 1; i < len(seen)-1; i++ { // the last is less than a second
		pace := (seen[i].y - seen[i-1].y) / (seen[i].x - seen[i-1].x)
		slowest = min(slowest, pace)
		p.lines[0].points = append(p.lines[0].points, point{seen[i].x, pace})
	}
	t.add(count(float64(d.commands)), fmt.Sprintf("%.1f", float64(d.commands)/rate), count(rate), count(slowest),
		fmt.Sprintf("%.1f", float64(end.CPU.Microseconds())/float64(d.commands)), mib(end.Heap), mib(end.Resident))
	r.tables, r.plots = append(r.tables, t), append(r.plots, p)
	return r, nil
}
