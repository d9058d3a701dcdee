package main

import (
	"context"
	"encoding/json"
	"flag"
	"log"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/maestro-es/maestro"
	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/eventstream"
	"github.com/maestro-es/maestro/examples/counter"
	"github.com/maestro-es/maestro/internal/wire"
)

// work is the worker process: it reports when the event stream holds so many events.
func work(args []string) {
	flags := flag.NewFlagSet("work", flag.ExitOnError)
	natsURL := flags.String("nats", "", "")
	database := flags.String("database", "", "")
	namespace := flags.String("namespace", "bench", "")
	events := flags.Int("n", 0, "")
	partitions := flags.Int("partitions", 16, "")
	every := flags.Int("every", 0, "report also each time this many events are out")
	profile := flags.String("profile", os.Getenv("BENCH_PROFILE"), "write a CPU profile")
	_ = flags.Parse(args)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()

	pool, err := pgxpool.New(ctx, *database)
	must(err)
	defer pool.Close()
	nc, err := nats.Connect(*natsURL)
	must(err)
	defer nc.Close()
	js, err := jetstream.New(nc)
	must(err)
	worker, err := maestro.New(ctx, maestro.Config{NATS: nc, Database: pool, Namespace: *namespace, Partitions: *partitions,
		Aggregates: []aggregate.Type{counter.Definition}, Projections: counter.Projections(),
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))})
	must(err)
	stream, err := eventstream.Ensure(ctx, js, wire.Namespace(*namespace), eventstream.StreamConfig{})
	must(err)
	if *profile != "" {
		f, err := os.Create(*profile)
		must(err)
		must(pprof.StartCPUProfile(f))
	}
	begin := time.Now()
	go watch(ctx, stream, *events, *every, *partitions, begin)
	must(worker.Run(ctx))
}

// watch reports as the events come out.
func watch(ctx context.Context, stream jetstream.Stream, events, every, fences int, begin time.Time) {
	next := events
	if every > 0 {
		next = every
	}
	for ctx.Err() == nil {
		info, err := stream.Info(ctx)
		if err == nil && int(info.State.Msgs)-fences >= next {
			if next >= events {
				pprof.StopCPUProfile()
			}
			must(json.NewEncoder(os.Stdout).Encode(measured(next, begin)))
			if next >= events {
				return
			}
			next = min(next+every, events)
		}
		<-time.After(5 * time.Millisecond)
	}
}

func measured(events int, begin time.Time) report {
	seconds := time.Since(begin).Seconds()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return report{Events: events, Seconds: seconds, HeapMB: float64(m.HeapAlloc) / (1 << 20), RSSMB: residentMB()}
}

// residentMB is the memory that the process has from the operating system; 0 where that cannot be read.
func residentMB() float64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "VmRSS:" {
			kb, _ := strconv.ParseFloat(fields[1], 64)
			return kb / 1024
		}
	}
	return 0
}

func must(err error) {
	if err != nil {
		log.Fatal("bench: ", err)
	}
}
