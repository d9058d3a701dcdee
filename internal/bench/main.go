// Command bench measures Maestro by a suite of experiments. Each experiment has its own servers. If
// the floor program is given, the suite also measures the floor: the same data path written by
// hand. The ratios count; the figures depend on the machine.
//
//	go run ./internal/bench -floor <folder of the floor program> -write docs/performance.md
//	go run ./internal/bench -only replay,tracing -scale 0.1
//
// main.go, suite.go    flags; the list of experiments
// lab.go, bulk.go      the servers; a log that is large from the beginning
// self.go              this program again, as another process:
// nats.go              as nats-server,
// worker.go, work.go   as the worker that is measured,
// byhand.go            as the same path written by hand
// tally.go             the aggregate and its read models
// drain.go, sweep.go   the commonest experiment: how fast a number of waiting commands is handled
// result.go, document.go, draw.go   tables and plots, to the terminal and into the page
// proctime.go          processor time of processes
//
// Each of the other files is an experiment.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/maestro-es/maestro/internal/timerslack"
)

// options are the command line.
type options struct {
	floor  string
	only   string
	write  string
	list   bool
	scale  float64
	rounds int
}

func main() {
	timerslack.Raise(time.Millisecond) // like the worker; docs/operations.md asks it of the servers, which inherit it here
	log.SetFlags(0)
	if len(os.Args) == 3 {
		if role, ok := roles[os.Args[1]]; ok {
			role(os.Args[2])
			return
		}
	}
	var o options
	flag.StringVar(&o.floor, "floor", "", "folder of the floor program; empty measures Maestro alone")
	flag.StringVar(&o.only, "only", "", "names of experiments, separated by commas; empty runs all")
	flag.StringVar(&o.write, "write", "", "page to write the results into, between its marks; the plots go to the folder plots beside it")
	flag.BoolVar(&o.list, "list", false, "list the experiments and run none")
	flag.Float64Var(&o.scale, "scale", 1, "how large the experiments are; results of another size than 1 are shown and not written")
	flag.IntVar(&o.rounds, "rounds", 3, "how often the sides of a comparison take turns; the median counts")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o)
	stop()
	if err != nil {
		log.Fatal("bench: ", err)
	}
}

func run(ctx context.Context, o options) error {
	if o.scale <= 0 || o.rounds < 1 || flag.NArg() > 0 {
		return errors.New("expected a -scale above 0, at least one of -rounds, and nothing but flags")
	}
	chosen, err := choose(o.only)
	if err != nil {
		return err
	}
	if o.list {
		for _, e := range chosen {
			fmt.Printf("%-12s %s\n", e.name, e.about)
		}
		return nil
	}
	if o.write != "" && o.scale != 1 {
		log.Printf("results of -scale %g are not written to %s", o.scale, o.write)
		o.write = ""
	}
	if o.floor != "" {
		dir, err := os.MkdirTemp("", "maestro-floor-*")
		if err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(dir) }()
		if o.floor, err = buildFloor(ctx, o.floor, dir); err != nil {
			return fmt.Errorf("build the floor program: %w", err)
		}
	}
	start := time.Now()
	for _, e := range chosen {
		failed := e.perform(ctx, o)
		if ctx.Err() != nil {
			return errors.New("interrupted")
		}
		if failed != nil { // the others may go well
			log.Printf("%s: %s", e.name, failed)
			err = errors.Join(err, fmt.Errorf("%s: %w", e.name, failed))
		}
	}
	log.Printf("all of it took %s", time.Since(start).Round(time.Second))
	return err
}

// choose returns the experiments of these names.
func choose(names string) (chosen []experiment, err error) {
	if names == "" {
		return suite, nil
	}
	for name := range strings.SplitSeq(names, ",") {
		at := slices.IndexFunc(suite, func(e experiment) bool { return e.name == strings.TrimSpace(name) })
		if at < 0 {
			return nil, fmt.Errorf("there is no experiment %q: -list shows them", name)
		}
		chosen = append(chosen, suite[at])
	}
	return chosen, nil
}
