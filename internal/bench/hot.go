package main

import (
	"context"
	"fmt"
	"time"

	"github.com/maestro-es/maestro/repository"
	"github.com/maestro-es/maestro/store"
)

// originalPerSecond is the rate of the Elixir original on one aggregate, one command at a time, in
// process.
const originalPerSecond = 1870

// hotAggregate is the experiment hot.
func hotAggregate(ctx context.Context, l *lab) (r result, err error) {
	n := l.scaled(3000)
	r.notef("Commands on one aggregate. The original, in Elixir, does %s commands a second on one aggregate, one at a time and with no "+
		"messaging around it; `repository.Repository` is the same here.", count(originalPerSecond))
	t := table{head: []string{"one aggregate", "commands/s on it", "goal"}}
	goal := "≥ " + count(originalPerSecond)

	library, err := l.asLibrary(ctx, n)
	if err != nil {
		return r, err
	}
	t.add("one at a time, in process", count(library), goal)
	request, durable, err := l.askOneByOne(ctx, n, 1, func(context.Context) error { return nil })
	if err != nil {
		return r, err
	}
	t.add("one at a time, requests over NATS", count(1e6/median(request.mean)), "")
	t.add("one at a time, durable commands with reply", count(1e6/median(durable.mean)), "")

	alone, half := l.standard(), l.standard()
	alone.aggregates = 1
	half.hot = true
	rates, err := l.compare(ctx, []variant{{name: "one aggregate alone", drain: alone}, {name: "half of the load", drain: half}})
	if err != nil {
		return r, err
	}
	t.add("a backlog for it alone", count(rates[0]), goal)
	t.add("half of a backlog for 10,000 aggregates", count(rates[1]/2), goal)
	r.tables = append(r.tables, t)
	r.notef("With half of the load on one aggregate, all together come to %s commands/s.", count(rates[1]))
	return r, nil
}

// asLibrary returns the rate of commands on one aggregate without NATS, one at a time.
func (l *lab) asLibrary(ctx context.Context, n int) (float64, error) {
	log, err := store.Open(ctx, l.pool, store.Options{Namespace: string(l.namespace()), Partitions: 16})
	if err != nil {
		return 0, err
	}
	defer log.Close()
	library, err := repository.New(ctx, tallies, log, repository.Config{})
	if err != nil {
		return 0, err
	}
	var start time.Time
	for i := range n {
		if i == n/10 {
			start = time.Now()
		}
		if _, err := library.Evaluate(ctx, "one", add{By: 1}, repository.Evaluation{}); err != nil {
			return 0, fmt.Errorf("command %d: %w", i, err)
		}
	}
	return float64(n-n/10) / time.Since(start).Seconds(), nil
}
