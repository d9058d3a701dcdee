package main

import (
	"bufio"
	"context"
	"encoding/json"
	"log"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/exaring/otelpgx"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"

	"github.com/maestro-es/maestro"
	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/internal/heap"
	"github.com/maestro-es/maestro/internal/recording"
	"github.com/maestro-es/maestro/tests/hostile"
)

// work is the worker process. It writes a line when it begins, and one line for each line that it
// reads.
func work(config string) {
	var c workConfig
	must(json.Unmarshal([]byte(config), &c))
	heap.Reserve(workerReserve)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	recorded, err := recording.Setup(ctx, recording.Program{Name: "maestro-bench", Getenv: os.Getenv})
	must(err)
	defer func() { _ = recorded.Stop(ctx) }()

	pool, err := pgxpool.NewWithConfig(ctx, database(c.Database, recorded.Traces))
	must(err)
	defer pool.Close()
	nc, err := nats.Connect(c.NATS)
	must(err)
	defer nc.Close()
	aggregates, models := []aggregate.Type{tallies}, readModels(c.ReadModels, c.Written)
	if c.Shared {
		models = append(models, sharedCounter())
	}
	if c.Hostile {
		aggregates, models = append(aggregates, hostile.Definition), append(models, hostile.Projections()...)
	}
	worker, err := maestro.New(ctx, maestro.Config{NATS: nc, Database: pool, Namespace: string(c.Namespace), Partitions: c.Partitions,
		Aggregates: aggregates, Projections: models, CacheBytes: c.CacheBytes,
		Events: c.Stream,
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))})
	must(err)
	if c.Profile != "" {
		f, err := os.Create(c.Profile)
		must(err)
		must(pprof.StartCPUProfile(f))
		defer pprof.StopCPUProfile()
	}
	go report()
	must(worker.Run(ctx))
}

// workerReserve is the same as the reserve of the program worker.
const workerReserve = 64 << 20

// connections is the size of the pool, the same as that of the program worker.
const connections = 8

func database(url string, traces bool) *pgxpool.Config {
	config, err := pgxpool.ParseConfig(url)
	must(err)
	config.MaxConns = connections
	if traces {
		config.ConnConfig.Tracer = otelpgx.NewTracer(otelpgx.WithDisableConnectionDetailsInAttributes())
	}
	return config
}

// report answers questions about the process. Its first line says that the work begins.
func report() {
	out := json.NewEncoder(os.Stdout)
	must(out.Encode(usage{}))
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		cpu := processorTime()
		debug.FreeOSMemory() // collects the garbage first
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		must(out.Encode(usage{Heap: int64(m.HeapAlloc) - heap.Reserved(), Resident: resident(), CPU: cpu}))
	}
}

// processorTime returns the processor time of all threads of the process.
func processorTime() time.Duration {
	var u syscall.Rusage
	must(syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// resident returns the memory that the process has from the operating system, or 0 if that cannot
// be read.
func resident() int64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "VmRSS:" {
			kib, _ := strconv.ParseInt(fields[1], 10, 64)
			return kib << 10
		}
	}
	return 0
}

func must(err error) {
	if err != nil {
		log.Fatal("bench: ", err)
	}
}
