package maestro

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/consumer"
	"github.com/maestro-es/maestro/eventstream"
	"github.com/maestro-es/maestro/internal/engine"
	"github.com/maestro-es/maestro/internal/lane"
	"github.com/maestro-es/maestro/internal/link"
	"github.com/maestro-es/maestro/internal/ownership"
	"github.com/maestro-es/maestro/internal/telemetry"
	"github.com/maestro-es/maestro/internal/wire"
	"github.com/maestro-es/maestro/projections"
	"github.com/maestro-es/maestro/store"
)

// Config is the configuration of a worker. NATS, Aggregates, and either Database or Store are
// required. For all other fields the zero value means the default.
type Config struct {
	// NATS is the connection to use. Run leaves it open. If the server has not answered for some
	// seconds, Run makes the connection reconnect. Connect with nats.MaxReconnects(-1) and
	// nats.IgnoreAuthErrorAbort(), because Run returns an error when the client gives the
	// connection up.
	NATS *nats.Conn
	// Database is the Postgres to use. The worker uses a schema named like the namespace, and
	// leaves everything else in the database alone. It applies migrations at the start. The worker
	// makes its own connections, configured like the pool's and as many; see store.Open. Run leaves
	// the pool open.
	Database *pgxpool.Pool
	// Store is used in place of Database, for instance store.NewMemory for trials. In-transaction
	// projections need a Database.
	Store store.Store
	// Namespace separates workers that share servers. The names of all subjects and streams begin
	// with it. Default "maestro".
	Namespace string
	// Partitions is the number of partitions. It is fixed when a namespace is created. 0 takes the
	// namespace's own number, or 64 for a new namespace.
	Partitions int
	// Aggregates are the aggregate types, as aggregate.Define makes them.
	Aggregates []aggregate.Type
	// Projections are the read models that are kept in the committing transaction.
	Projections []*projections.Projection
	// CacheBytes is the memory for aggregates kept for the next command, by an estimate of their
	// size. Default 256 MiB.
	CacheBytes int64
	// CacheIdle is the time after which an aggregate that nobody has asked for is dropped from
	// memory, as its aggregate.WhenIdle says. With the default 0, aggregates are dropped only when
	// the memory is needed.
	CacheIdle time.Duration
	// IntakeBytes bounds the commands that wait or are in hand. ReadBytes bounds the histories that
	// are read at a time and the snapshots that wait to be stored. Both count the size of bodies.
	// Default 128 MiB each; negative for no limit. A command or an event larger than the limit is
	// handled alone.
	IntakeBytes, ReadBytes int64
	// MaxBatch is the most commands in a transaction. Default 256.
	MaxBatch int
	// Node names this worker for people: as an owner in the log's tables, in Postgres's list of
	// connections, and to other workers. Nothing depends on the name, so two workers may have the
	// same. Default: the host's name and a random part.
	Node string
	// Commands and Events configure the two streams.
	Commands consumer.StreamConfig
	Events   eventstream.StreamConfig
	// ReceiptRetention is how long the id of a command is remembered. Within this time, the same
	// command takes effect once. Commands that are still in the command stream are remembered for
	// longer. Default 7 days; negative for ever.
	ReceiptRetention time.Duration
	// Logger gets what an operator must know. Default slog.Default().
	Logger *slog.Logger
}

// Worker is a worker that is ready to run; see [Run] for the short way.
type Worker struct {
	config   Config
	consumer *consumer.Consumer
	store    store.Store
	js       jetstream.JetStream
	events   *eventstream.Watch
	link     *link.Link
	readiness
}

// Run runs a worker until ctx ends, then finishes the work in hand and returns nil. By then every
// answered command is committed, and every committed event is published or will be published by the
// next owner.
func Run(ctx context.Context, c Config) error {
	w, err := New(ctx, c)
	if err != nil {
		return err
	}
	return w.Run(ctx)
}

// New checks the configuration, applies migrations and prepares a worker.
func New(ctx context.Context, c Config) (*Worker, error) {
	c = withDefaults(c)
	if err := check(c); err != nil {
		return nil, err
	}
	js, err := jetstream.New(c.NATS, jetstream.WithDefaultTimeout(5*time.Second))
	if err != nil {
		return nil, fmt.Errorf("use JetStream: %w", err)
	}
	log, err := openStore(ctx, c)
	if err != nil {
		return nil, err
	}
	metrics, err := telemetry.NewMetrics(c.Namespace)
	if err != nil {
		closeStore(c, log)
		return nil, fmt.Errorf("measure: %w", err)
	}
	nats := link.New(c.NATS, c.Logger, c.Namespace+".", "$SRV.", cmp.Or(c.NATS.Opts.InboxPrefix, "_INBOX")+".")
	lanes := laneConfig(c)
	if opened, is := log.(*store.Postgres); is {
		if err := warnOfOthers(ctx, opened, lanes); err != nil {
			closeStore(c, log)
			return nil, err
		}
	}
	lanes.Metrics, lanes.MaxEventBytes = metrics, func() int { return engine.MaxEventBytes(nats.MaxPayload()) }
	ns := wire.Namespace(c.Namespace)
	w := &Worker{config: c, store: log, js: js, link: nats, events: eventstream.NewWatch(js, ns, c.Events, c.Logger)}
	w.consumer = consumer.New(consumer.Config{
		NATS: c.NATS, JetStream: js, Namespace: ns, Stream: c.Commands, Store: log,
		Lane: lanes, ReceiptRetention: c.ReceiptRetention, Worker: c.Node, Logger: c.Logger,
		Publisher: func(at store.Partition) ownership.Publisher {
			return eventstream.NewPublisher(js, ns, c.Events, log, at, c.Logger).Measure(metrics).Follow(w.events)
		},
	})
	return w, nil
}

// Run runs the worker; see the function [Run].
func (w *Worker) Run(ctx context.Context) error {
	defer w.Close()
	if _, err := eventstream.Ensure(ctx, w.js, wire.Namespace(w.config.Namespace), w.config.Events); err != nil {
		return err
	}
	var group sync.WaitGroup
	defer group.Wait()
	watching, stop := context.WithCancel(context.WithoutCancel(ctx)) // lasts as long as events are published
	defer stop()
	working, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	group.Go(func() { w.events.Run(watching) })
	group.Go(func() { fail(w.link.Run(watching)) })
	group.Go(func() { w.readiness.watch(watching, w.able) })
	group.Go(func() { w.announce(working) })
	err := w.consumer.Run(working)
	if cause := context.Cause(working); errors.Is(cause, link.ErrClosed) {
		return cause // all other failures follow from this one
	}
	return err
}

// Close ends the worker's connections to Postgres. Run calls it at its end. Call it for a worker
// that is never run.
func (w *Worker) Close() { closeStore(w.config, w.store) }

// able returns nil if the worker can do its work at this moment. The error says what is missing.
func (w *Worker) able(context.Context) error {
	if err := w.link.Check(); err != nil {
		return err
	}
	if log, is := w.store.(*store.Postgres); is {
		if err := log.Health(); err != nil {
			return fmt.Errorf("commit to Postgres: %w", err)
		}
	}
	return w.consumer.Ready()
}

// openStore opens the event log and prepares the read models.
func openStore(ctx context.Context, c Config) (store.Store, error) {
	if c.Store != nil {
		if len(c.Projections) > 0 {
			c.Logger.Warn("in-transaction projections need Postgres: with the store given they are left out", "projections", len(c.Projections))
		}
		return c.Store, nil
	}
	log, err := store.Open(ctx, c.Database, store.Options{Namespace: c.Namespace, Partitions: c.Partitions, Name: c.Node, Logger: c.Logger})
	if err != nil {
		return nil, fmt.Errorf("open the event log: %w", err)
	}
	if err := engine.SetUp(ctx, log, c.Projections); err != nil {
		log.Close()
		return nil, err
	}
	return log, nil
}

// closeStore closes what openStore has opened.
func closeStore(c Config, opened store.Store) {
	if log, is := opened.(*store.Postgres); is && c.Store == nil {
		log.Close()
	}
}

// laneConfig returns the configuration that all lanes share.
func laneConfig(c Config) lane.Config {
	of := engine.Config{Aggregates: c.Aggregates, Projections: c.Projections, CacheBytes: c.CacheBytes, CacheIdle: c.CacheIdle,
		IntakeBytes: c.IntakeBytes, ReadBytes: c.ReadBytes, MaxBatch: c.MaxBatch, Logger: c.Logger}
	if c.Store != nil {
		of.Projections = nil
	}
	return engine.Lanes(of)
}

// warnOfOthers logs which read models other workers keep and this one does not.
func warnOfOthers(ctx context.Context, log *store.Postgres, c lane.Config) error {
	others, err := engine.Missing(ctx, log, c)
	if err != nil {
		return err
	}
	if len(others) > 0 {
		c.Logger.Warn("read models were set up that this program does not keep in this version: what it commits will be missing there, unless "+
			"nobody keeps them any more", "projections", engine.Names(others))
	}
	return nil
}
