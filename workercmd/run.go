package workercmd

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"

	"github.com/maestro-es/maestro"
	"github.com/maestro-es/maestro/consumer"
	"github.com/maestro-es/maestro/eventstream"
	"github.com/maestro-es/maestro/internal/heap"
	"github.com/maestro-es/maestro/internal/telemetry"
	"github.com/maestro-es/maestro/store"
)

// runCommand is `worker run`.
type runCommand struct {
	database
	broker
	HTTP        string        `name:"http" env:"MAESTRO_HTTP" empty:"true" default:"127.0.0.1:8080" placeholder:"ADDRESS" help:"Address of the console, /metrics, /healthz and /readyz; empty for none."`
	Pprof       bool          `env:"MAESTRO_PPROF" help:"Serve Go's profiles under /debug/pprof/, to whoever reaches the address of --http."`
	Dev         bool          `env:"MAESTRO_DEV" help:"For trials: run a nats-server with JetStream inside this process, on 127.0.0.1:4222 or another port if that is taken, and a Postgres from the programs of this machine, unless a database is given."`
	DataDir     string        `env:"MAESTRO_DATA_DIR" placeholder:"DIR" help:"With --dev: where JetStream and Postgres keep their files. Default: a folder that is removed at the end."`
	CacheBytes  int64         `env:"MAESTRO_CACHE_BYTES" default:"268435456" placeholder:"N" help:"Memory for aggregates that are kept for the next command."`
	CacheIdle   time.Duration `env:"MAESTRO_CACHE_IDLE" default:"0" placeholder:"DURATION" help:"Let an aggregate go that nobody has asked for in this time; 0 keeps it as long as there is memory."`
	IntakeBytes int64         `env:"MAESTRO_INTAKE_BYTES" default:"134217728" placeholder:"N" help:"Memory for commands that wait or are in hand; -1 for no limit."`
	ReadBytes   int64         `env:"MAESTRO_READ_BYTES" default:"134217728" placeholder:"N" help:"Memory for histories that are read at a time, and for snapshots that wait to be stored; -1 for no limit."`
	MaxBatch    int           `env:"MAESTRO_MAX_BATCH" default:"256" placeholder:"N" help:"Most commands in a transaction."`
	Node        string        `env:"MAESTRO_NODE" placeholder:"NAME" help:"Unique name of this worker. Default: the host's name and a random part."`
	Replicas    int           `env:"MAESTRO_REPLICAS" placeholder:"N" help:"Servers that hold each stream. Default: as many as do, 1 for a new stream."`
	MaxBytes    int64         `name:"commands-max-bytes" env:"MAESTRO_COMMANDS_MAX_BYTES" placeholder:"N" help:"Where the command stream refuses more; -1 for no limit of its own. Default: as it is kept, without a limit when it is new."`
	EventsAge   time.Duration `name:"events-max-age" env:"MAESTRO_EVENTS_MAX_AGE" placeholder:"DURATION" help:"Age at which events leave the event stream, such as 168h; Postgres keeps them; -1s for never. Default: as it is kept, never when it is new."`
	Retention   time.Duration `name:"receipt-retention" env:"MAESTRO_RECEIPT_RETENTION" placeholder:"DURATION" help:"How long the id of a command is remembered, so that it takes effect once; negative for ever. Default: 168h."`
	LogLevel    slog.Level    `env:"MAESTRO_LOG_LEVEL" default:"info" placeholder:"LEVEL" help:"debug, info, warn or error."`
}

// Help is shown by --help below the usage.
func (*runCommand) Help() string {
	return `Examples:
  worker --dev                       try it out: brings its own NATS and Postgres
  worker --dev --data-dir ./data     the same, and keep everything for the next time
  worker --database-url postgres://maestro@db/orders --nats-url nats://nats:4222
  worker --dev --database-url postgres://localhost/postgres

Then, from another terminal:
  publisher request counter 42 increment '{"by": 1}' --return state`
}

// Run runs the worker until a signal comes, then finishes the work in hand.
func (r *runCommand) Run(ctx context.Context, p *Program) error {
	if err := r.run(ctx, p); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil // the signal came while the worker was starting
}

// maxReserve bounds the heap reserve, and so the garbage that builds up before the collector runs.
// If the cache is smaller, the cache's size is the bound. With maxReserve the collector runs about
// every 10,000 commands. Four times as much saves no processor time, because new memory costs more
// than reused memory.
const maxReserve = 64 << 20

func (r *runCommand) run(ctx context.Context, p *Program) error {
	heap.Reserve(min(r.CacheBytes, maxReserve))
	logger := slog.New(telemetry.LogHandler(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: r.LogLevel})))
	recording, err := startRecording(ctx, logger)
	if err != nil {
		return err
	}
	defer func() { _ = recording.Stop(ctx) }()
	if r.Dev {
		stop, err := r.startDev(ctx, logger)
		if err != nil {
			return err
		}
		defer stop()
	}
	nc, err := r.broker.connect(logger)
	if err != nil {
		return err
	}
	defer nc.Close()
	config, closeDatabase, err := r.config(ctx, p, nc, logger, recording.Traces)
	if err != nil {
		return err
	}
	defer closeDatabase()
	if p.Configure != nil {
		if err := p.Configure(ctx, &config); err != nil {
			return err
		}
	}
	worker, err := maestro.New(ctx, config)
	if err != nil {
		return err
	}
	defer worker.Close()
	if r.HTTP != "" {
		stop, err := serveHTTP(r.HTTP, r.Pprof, worker, logger)
		if err != nil {
			return err
		}
		defer stop()
	}
	if err := worker.Run(ctx); err != nil {
		return err
	}
	logger.Info("stopped: everything in hand is finished")
	return nil
}

// config returns the worker's configuration from the flags and the program.
func (r *runCommand) config(ctx context.Context, p *Program, nc *nats.Conn, logger *slog.Logger, traces bool,
) (c maestro.Config, done func(), err error) {
	c = maestro.Config{
		NATS: nc, Namespace: r.Namespace, Partitions: r.Partitions,
		Aggregates: p.Aggregates, Projections: p.Projections,
		CacheBytes: r.CacheBytes, CacheIdle: r.CacheIdle, IntakeBytes: r.IntakeBytes, ReadBytes: r.ReadBytes, MaxBatch: r.MaxBatch, Node: r.Node,
		Commands: consumer.StreamConfig{Replicas: r.Replicas, MaxBytes: r.MaxBytes},
		Events:   eventstream.StreamConfig{Replicas: r.Replicas, MaxAge: r.EventsAge},
		Logger:   logger, ReceiptRetention: r.Retention,
	}
	if r.DatabaseURL == memoryURL {
		c.Store = store.NewMemory(r.Partitions)
		return c, func() {}, nil
	}
	var tune []func(*pgxpool.Config)
	if traces {
		tune = append(tune, traceQueries)
	}
	if c.Database, err = r.database.connect(ctx, tune...); err != nil {
		return c, nil, err
	}
	return c, c.Database.Close, nil
}
