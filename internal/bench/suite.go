package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"time"
)

// experiment is a question to the system.
type experiment struct {
	name, about string
	run         func(context.Context, *lab) (result, error)
}

// suite are all experiments, in the order of the page.
var suite = []experiment{
	{"floor", "throughput beside the path written by hand, with and without read models", besideFloor},
	{"latency", "one command at a time, beside the path written by hand", oneAtATime},
	{"load", "latency against load, up to saturation", latencyAgainstLoad},
	{"half", "latency at half of saturation, beside the path written by hand", besideHand},
	{"cost", "processor time of each process for a command, beside the path written by hand", costOfCommands},
	{"hostile", "good commands beside hostile ones, and beside a harmless load of the same size", besideHostile},
	{"partitions", "throughput against the number of partitions", againstPartitions},
	{"aggregates", "throughput against the number of aggregates", againstAggregates},
	{"size", "throughput against the size of events", againstSize},
	{"events", "throughput against the events of each command", againstEvents},
	{"projections", "throughput with read models in the transaction", withProjections},
	{"shared", "a read model whose rows all partitions write, beside a single writer", sharedRows},
	{"hot", "one aggregate, alone and with half of the load", hotAggregate},
	{"replay", "time to load an aggregate against its events, with and without snapshots", replay},
	{"memory", "memory of cached aggregates", memoryOfCache},
	{"log", "throughput and start-up against the events in the log", againstLog},
	{"backlog", "a backlog of a million commands", backlog},
	{"tracing", "the cost of tracing", costOfTracing},
}

// perform runs an experiment on fresh servers, shows the result, and writes it if that is wanted.
func (e experiment) perform(ctx context.Context, o options) (err error) {
	log.Printf("\n%s: %s", e.name, e.about)
	start := time.Now()
	l, err := newLab(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	r, err := e.run(ctx, l)
	if err != nil {
		return err
	}
	r.footnote(fmt.Sprintf("`make bench BENCH=\"-only %s\"`, %s", e.name, l.machine(ctx)))
	r.show(os.Stdout)
	log.Printf("it took %s", time.Since(start).Round(time.Second))
	if o.write == "" {
		return nil
	}
	return writeResult(o.write, e.name, &r)
}
