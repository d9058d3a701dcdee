package consumer

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/maestro-es/maestro/internal/api"
	"github.com/maestro-es/maestro/internal/lane"
	"github.com/maestro-es/maestro/internal/message"
	"github.com/maestro-es/maestro/internal/ownership"
	"github.com/maestro-es/maestro/internal/telemetry"
	"github.com/maestro-es/maestro/internal/wire"
	"github.com/maestro-es/maestro/store"
)

// Store is what a consumer needs of the event log.
type Store interface {
	lane.Store
	lane.SnapshotStore
	Partitions() int
	Rows(ctx context.Context) ([]store.Partition, error)
	Acquire(ctx context.Context, partition int, owner string) (store.Partition, error)
}

// Config is what a consumer works with. All fields but Stream and ReceiptRetention are required.
type Config struct {
	NATS      *nats.Conn
	JetStream jetstream.JetStream
	Namespace wire.Namespace
	Stream    StreamConfig
	Store     Store
	// Lane is the configuration that all lanes share. New sets its Store, Snapshots, Waiting and
	// Worked.
	Lane lane.Config
	// Publisher makes the publisher of a partition that has just been acquired.
	Publisher func(at store.Partition) ownership.Publisher
	// ReceiptRetention is the age at which receipts are deleted; 0 or less keeps them.
	ReceiptRetention time.Duration
	// Worker names this worker as an owner.
	Worker string
	Logger *slog.Logger
}

// Consumer handles the commands of the partitions it owns. Make it with New, run it with Run.
type Consumer struct {
	Config
	owners       *ownership.Ownership
	api          *api.API
	misaddressed telemetry.Seldom
	// differing limits log lines about the command stream's configuration, restoring those about
	// commands that are stored again.
	differing, restoring telemetry.Seldom
	answers              *message.Answers
	tracing              *message.Tracing
}

// New returns a consumer.
func New(c Config) *Consumer {
	c.Lane.Store = c.Store
	c.Lane.Snapshots = lane.NewSnapshots(c.Store, c.Logger).Within(c.Lane.Memory)
	c.Lane.Waiting, c.Lane.Worked = &telemetry.Seldom{}, &lane.Worked{}
	if c.Lane.Metrics == nil {
		c.Lane.Metrics = telemetry.Discard()
	}
	owners := ownership.New(ownership.Config{NATS: c.NATS, Namespace: c.Namespace, Store: c.Store, Lane: c.Lane,
		Publisher: c.Publisher, Worker: c.Worker, Logger: c.Logger})
	answers := &message.Answers{NATS: c.NATS, Namespace: c.Namespace, Logger: c.Logger}
	tracing := message.NewTracing(c.Namespace, c.Lane.Types)
	requests := api.New(api.Config{NATS: c.NATS, Namespace: c.Namespace, Worker: c.Worker, ID: owners.ID, Roster: owners.Roster,
		Lanes: owners.Lanes, Lane: c.Lane, Answers: answers, Tracing: tracing, Logger: c.Logger})
	return &Consumer{Config: c, owners: owners, api: requests, answers: answers, tracing: tracing}
}

// Ready returns nil if this worker owns its share of the partitions and work moves in all of them
// at this moment. The error says what is missing or stands still. It asks no server.
func (c *Consumer) Ready() error { return c.owners.Ready() }

// Owned returns the number of partitions that this worker owns.
func (c *Consumer) Owned() int { return c.owners.Owned() }

// Run joins the workers of the namespace and handles the commands of its share of the partitions
// until ctx ends. Then it finishes the work in hand, hands its partitions over and returns nil.
func (c *Consumer) Run(ctx context.Context) error {
	if err := EnsureStream(ctx, c.JetStream, c.Namespace, c.Store.Partitions(), c.Stream); err != nil {
		return err
	}
	unobserve, err := c.owners.Observe()
	if err != nil {
		return err
	}
	defer unobserve()
	unobserveStream, err := c.observe()
	if err != nil {
		return err
	}
	defer unobserveStream()
	working, stop := context.WithCancel(context.WithoutCancel(ctx)) // goes on while partitions are handed over
	defer stop()
	var group sync.WaitGroup
	defer group.Wait()
	defer stop()
	if err := c.owners.Join(working, &group); err != nil {
		return err
	}
	if err := c.api.Start(); err != nil {
		return err
	}
	defer c.api.Close()
	if err := c.answerMisaddressed(working); err != nil {
		c.api.Stop()
		return err
	}
	_ = c.NATS.FlushTimeout(flushPatience) // so that clients can reach the worker once it is ready
	group.Go(func() { c.trim(working) })
	group.Go(func() { c.prune(working) })
	group.Go(func() { c.Lane.Snapshots.Run(working) })
	c.owners.Run(ctx, c.api, feeding{c})
	c.api.Stop()
	c.handOn()
	c.api.Close()
	c.catchUp()
	_ = c.NATS.FlushTimeout(flushPatience)
	return nil
}

// flushPatience bounds an exchange with the server that nothing depends on.
const flushPatience = time.Second

// catchUp returns when all messages that the server has sent to this connection until now are
// handled, or after flushPatience.
func (c *Consumer) catchUp() {
	_ = c.NATS.FlushTimeout(flushPatience)
	handled := make(chan struct{})
	if err := c.NATS.Barrier(func() { close(handled) }); err == nil {
		select {
		case <-handled:
		case <-time.After(flushPatience): // others use the connection too and may delay it
		}
	}
}

const (
	// handOnPatience bounds how long the remaining requests wait for their next owners.
	handOnPatience = 5 * time.Second
	// handOnEvery is how often these requests are reviewed if no change of owners is signalled.
	handOnEvery = 50 * time.Millisecond
)

// handOn forwards the requests that have come here to the next owners, which may not have announced
// yet that they own the partitions. A forwarded request may come back if its new owner has just
// gone as well. So handOn goes on until nothing has waited for two rounds, no other worker is left,
// or handOnPatience is over.
func (c *Consumer) handOn() {
	enough := time.After(handOnPatience)
	for quiet := 0; quiet < 2 && c.owners.Others(); quiet++ {
		c.catchUp()
		for c.api.Waiting() > 0 && c.owners.Others() {
			quiet = -1
			select {
			case <-c.owners.Roster.Changed():
			case <-time.After(handOnEvery):
			case <-enough:
				return
			}
			c.api.Review(time.Now())
		}
	}
}
