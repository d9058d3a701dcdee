// Command bench measures Maestro beside the floor: the same data path written by hand, run against the same servers in
// the same run. The ratio is what counts; the figures depend on the machine.
//
//	go run ./internal/bench -floor ../shared/floor
//
// It brings its own Postgres and nats-server, runs each worker as a process of its own, and prints one table.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"text/tabwriter"

	"github.com/maestro-es/maestro/internal/localnats"
	"github.com/maestro-es/maestro/internal/localpg"
)

type options struct {
	floor      string
	commands   int
	partitions int
	aggregates int
	roundTrips int
	memory     int
	rounds     int
}

func main() {
	log.SetFlags(0)
	if len(os.Args) > 1 && os.Args[1] == "work" { // this program again, as the worker that is measured
		work(os.Args[2:])
		return
	}
	var o options
	flag.StringVar(&o.floor, "floor", "", "folder of the floor program; empty measures Maestro alone")
	flag.IntVar(&o.commands, "n", 100_000, "commands")
	flag.IntVar(&o.partitions, "partitions", 16, "partitions")
	flag.IntVar(&o.aggregates, "aggregates", 10_000, "distinct aggregates")
	flag.IntVar(&o.roundTrips, "latency", 2_000, "commands sent one at a time")
	flag.IntVar(&o.memory, "memory", 0, "commands of the memory run on 100,000 aggregates, such as 1000000; 0 for none")
	flag.IntVar(&o.rounds, "rounds", 3, "how often floor and Maestro take turns; the median counts")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, o)
	stop()
	if err != nil {
		log.Fatal("bench: ", err)
	}
}

// servers are what both sides work against.
type servers struct {
	nats     *localnats.Server
	postgres *localpg.Server
}

func start(ctx context.Context) (s servers, stop func(), err error) {
	dir, err := os.MkdirTemp("", "maestro-bench-*")
	if err != nil {
		return s, nil, err
	}
	if s.nats, err = localnats.Start(localnats.Options{Dir: filepath.Join(dir, "jetstream")}); err != nil {
		return s, nil, err
	}
	if s.postgres, err = localpg.Start(ctx, localpg.Options{}); err != nil {
		s.nats.Stop()
		return s, nil, err
	}
	return s, func() {
		s.nats.Stop()
		_ = s.postgres.Stop()
		_ = os.RemoveAll(dir)
	}, nil
}

func run(ctx context.Context, o options) error {
	s, stop, err := start(ctx)
	if err != nil {
		return err
	}
	defer stop()
	var floors, ours []figures
	for round := range o.rounds {
		if o.floor != "" {
			f, err := measureFloor(ctx, s, o)
			if err != nil {
				return fmt.Errorf("floor: %w", err)
			}
			floors = append(floors, f)
		}
		m, err := measureMaestro(ctx, s, o, fmt.Sprintf("bench%d", round))
		if err != nil {
			return fmt.Errorf("maestro: %w", err)
		}
		ours = append(ours, m)
	}
	show(median(floors), median(ours), o)
	load, err := measureLoad(ctx, s, 10_000)
	if err != nil {
		return fmt.Errorf("load: %w", err)
	}
	fmt.Printf("\nload of an aggregate of 10,000 events without a snapshot: %.1f ms\n", load)
	if o.memory > 0 {
		return measureMemory(ctx, s, o)
	}
	return nil
}

// show prints both sides and the ratio.
func show(floor, maestro figures, o options) {
	fmt.Printf("%d commands, %d aggregates, %d partitions, median of %d rounds\n\n", o.commands, o.aggregates, o.partitions, o.rounds)
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\tfloor\tMaestro\tratio")
	row := func(name string, floor, maestro float64) {
		if floor == 0 {
			fmt.Fprintf(w, "%s\t-\t%.0f\t-\n", name, maestro)
			return
		}
		fmt.Fprintf(w, "%s\t%.0f\t%.0f\t%.2f\n", name, floor, maestro, maestro/floor)
	}
	row("whole path, commands/s", floor.PathPerSecond, maestro.PathPerSecond)
	row("durable command with reply, p50 µs", floor.LatencyP50, maestro.LatencyP50)
	row("durable command with reply, p99 µs", floor.LatencyP99, maestro.LatencyP99)
	row("request, p50 µs", floor.LatencyP50, maestro.RequestP50)
	row("request, p99 µs", floor.LatencyP99, maestro.RequestP99)
	_ = w.Flush()
}
