package consumer

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/maestro-es/maestro/internal/api"
	"github.com/maestro-es/maestro/internal/hlc"
	"github.com/maestro-es/maestro/internal/lane"
	"github.com/maestro-es/maestro/internal/membership"
	"github.com/maestro-es/maestro/internal/message"
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

// Publisher carries the committed events of one partition out, until its owner stops.
type Publisher interface {
	lane.Publisher
	// Run publishes until ctx ends. Flush waits, while Run runs, until everything committed is
	// published.
	Run(ctx context.Context) error
	Flush(ctx context.Context) error
	// Obstacle tells what keeps committed events from being published, and since when: nil if
	// nothing does. Diverged tells whether that is an event stream that is not the log's, so that a
	// person has to mend it.
	Obstacle() (since time.Time, why error)
	Diverged() bool
}

// Config is what a consumer works with. All fields but Stream and ReceiptRetention are required.
type Config struct {
	NATS      *nats.Conn
	JetStream jetstream.JetStream
	Namespace wire.Namespace
	Stream    StreamConfig
	Store     Store
	// Lane is what all lanes have in common. Its Store, Snapshots, Waiting and Worked are set by
	// New.
	Lane lane.Config
	// Publisher makes the publisher of a partition that has just been acquired.
	Publisher func(at store.Partition) Publisher
	// ReceiptRetention is the age at which receipts are forgotten; 0 or less keeps them.
	ReceiptRetention time.Duration
	// Worker names this worker as an owner.
	Worker string
	Logger *slog.Logger
}

// Consumer handles the commands of the partitions it owns. Make it with New, run it with Run.
type Consumer struct {
	Config
	id           string // of the member, for subjects
	roster       *membership.Roster
	lanes        []atomic.Pointer[lane.Lane] // by partition; nil where this worker is not the owner
	tenures      []atomic.Pointer[Tenure]    // the same, with what else belongs to it
	owned        atomic.Int64
	rows         atomic.Pointer[[]store.Partition] // as the store last had them
	seen         []atomic.Int64                    // the furthest position that each partition's log was seen at
	regressed    chan int                          // partitions whose log has gone back
	api          *api.API
	misaddressed telemetry.Seldom
	retrying     telemetry.Seldom
	// differing and restoring are of the command stream's configuration and of commands stored
	// again.
	differing, restoring telemetry.Seldom
	regressions          telemetry.Seldom
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
	partitions := c.Store.Partitions()
	id := hlc.NewID()
	consumer := &Consumer{Config: c, id: id, lanes: make([]atomic.Pointer[lane.Lane], partitions),
		tenures: make([]atomic.Pointer[Tenure], partitions), seen: make([]atomic.Int64, partitions), regressed: make(chan int, partitions),
		roster:  membership.New(c.NATS, c.Namespace, partitions, id, c.Worker, c.Logger),
		answers: &message.Answers{NATS: c.NATS, Namespace: c.Namespace, Logger: c.Logger},
		tracing: message.NewTracing(c.Namespace, c.Lane.Types)}
	consumer.api = api.New(api.Config{NATS: c.NATS, Namespace: c.Namespace, Worker: c.Worker, ID: id, Roster: consumer.roster,
		Lanes: consumer.lanes, Lane: c.Lane,
		Answers: consumer.answers, Tracing: consumer.tracing, Logger: c.Logger})
	return consumer
}

// Owned is the number of partitions that this worker owns.
func (c *Consumer) Owned() int { return int(c.owned.Load()) }

// Run joins the workers of the namespace, handles the commands of its share of the partitions until
// ctx ends, then finishes what is in hand, hands its partitions over and returns nil.
func (c *Consumer) Run(ctx context.Context) error {
	if err := EnsureStream(ctx, c.JetStream, c.Namespace, c.Store.Partitions(), c.Stream); err != nil {
		return err
	}
	unobserve, err := c.observe()
	if err != nil {
		return err
	}
	defer unobserve()
	working, stop := context.WithCancel(context.WithoutCancel(ctx)) // goes on while partitions are handed over
	defer stop()
	var group sync.WaitGroup
	defer group.Wait()
	defer stop()
	if err := c.roster.Join(working, &group); err != nil {
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
	_ = c.NATS.FlushTimeout(flushPatience) // whoever hears that it is ready can reach it
	group.Go(func() { c.watchStore(working) })
	group.Go(func() { c.trim(working) })
	group.Go(func() { c.prune(working) })
	group.Go(func() { c.Lane.Snapshots.Run(working) })
	steward := newSteward(c)
	c.roster.Activate()
	steward.run(ctx)
	c.api.Stop()
	steward.handOn()
	c.api.Close()
	c.catchUp()
	_ = c.NATS.FlushTimeout(flushPatience)
	return nil
}

// flushPatience bounds an exchange with the server that nothing depends on.
const flushPatience = time.Second

// catchUp returns when everything is handled that the server has sent to this connection until now.
func (c *Consumer) catchUp() {
	_ = c.NATS.FlushTimeout(flushPatience)
	handled := make(chan struct{})
	if err := c.NATS.Barrier(func() { close(handled) }); err == nil {
		select {
		case <-handled:
		case <-time.After(flushPatience): // the connection is not ours alone
		}
	}
}

// writable is a store that knows by itself whether its server answers and takes writes.
type writable interface {
	Writable() error
}

// watchStore tells the other workers when this one has lost the store, so that one that has it
// takes over, and the lanes when others write to their partitions.
func (c *Consumer) watchStore(ctx context.Context) {
	const every, patience = 500 * time.Millisecond, 2 * time.Second
	tick := time.NewTicker(every)
	defer tick.Stop()
	seen, back, skewed := time.Now(), goneBack{}, skew{}
	for {
		c.seeLanes()
		try, cancel := context.WithTimeout(ctx, 2*every)
		sent := time.Now()
		rows, err := c.Store.Rows(try)
		cancel()
		if len(rows) > 0 {
			c.Lane.Clock.Saw(rows[0].Clock, sent)
			skewed.look(c)
		}
		if s, tells := c.Store.(writable); tells { // so that a wait for one of its connections counts for nothing
			err = s.Writable()
		}
		switch {
		case err == nil:
			seen = time.Now()
			c.roster.Recover()
			if rows != nil {
				back.look(c, rows)
				c.notice(rows)
			}
		case ctx.Err() == nil && time.Since(seen) > patience:
			c.roster.GiveUp()
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// notice remembers how far all partitions have come, and tells each lane where its log is.
func (c *Consumer) notice(rows []store.Partition) {
	c.rows.Store(&rows)
	for _, row := range rows {
		c.see(row.Number, row.Position)
		if l := c.lanes[row.Number].Load(); l != nil {
			l.Noticed(row.Position)
		}
	}
}
