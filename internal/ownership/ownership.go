package ownership

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/nats-io/nats.go"

	"github.com/maestro-es/maestro/internal/hlc"
	"github.com/maestro-es/maestro/internal/lane"
	"github.com/maestro-es/maestro/internal/membership"
	"github.com/maestro-es/maestro/internal/telemetry"
	"github.com/maestro-es/maestro/internal/wire"
	"github.com/maestro-es/maestro/store"
)

// Store is what ownership needs of the event log.
type Store interface {
	Partitions() int
	Rows(ctx context.Context) ([]store.Partition, error)
	Acquire(ctx context.Context, partition int, owner string) (store.Partition, error)
}

// Publisher publishes the committed events of one partition until its owner stops.
type Publisher interface {
	lane.Publisher
	// Run publishes until ctx ends. Flush, called while Run runs, waits until everything committed
	// is published.
	Run(ctx context.Context) error
	Flush(ctx context.Context) error
	// Obstacle returns why committed events cannot be published, and since when; why is nil if
	// nothing is in the way. Diverged tells whether the reason is an event stream that does not
	// match the log, so that a person has to repair it.
	Obstacle() (since time.Time, why error)
	Diverged() bool
}

// Requests routes the clients' requests to the owners of the partitions.
type Requests interface {
	// Review routes the requests whose partition may have another owner by now.
	Review(now time.Time)
	// StopServing ends the taking of requests. It is called when this worker ends and no other
	// worker takes over.
	StopServing()
}

// Config is what ownership works with. All fields are required.
type Config struct {
	NATS      *nats.Conn
	Namespace wire.Namespace
	Store     Store
	// Lane is the configuration that all lanes share.
	Lane lane.Config
	// Publisher makes the publisher of a partition that has just been acquired.
	Publisher func(at store.Partition) Publisher
	// Worker names this worker as an owner.
	Worker string
	Logger *slog.Logger
}

// Ownership knows which partitions this worker owns, and acquires and hands over partitions.
type Ownership struct {
	Config
	// ID names this worker among the members of the roster.
	ID     string
	Roster *membership.Roster
	// Lanes has the lane of each partition, or nil if this worker does not own the partition.
	Lanes []atomic.Pointer[lane.Lane]

	tenures     []atomic.Pointer[Tenure] // like Lanes, the tenure of each partition
	owned       atomic.Int64
	rows        atomic.Pointer[[]store.Partition] // as last read from the store
	seen        []atomic.Int64                    // the furthest position that each partition's log was seen at
	regressed   chan int                          // partitions whose log has gone back
	regressions telemetry.Seldom
	retrying    telemetry.Seldom
}

// New returns an Ownership that owns nothing yet.
func New(c Config) *Ownership {
	partitions, id := c.Store.Partitions(), hlc.NewID()
	return &Ownership{Config: c, ID: id, Lanes: make([]atomic.Pointer[lane.Lane], partitions),
		tenures: make([]atomic.Pointer[Tenure], partitions), seen: make([]atomic.Int64, partitions), regressed: make(chan int, partitions),
		Roster: membership.New(c.NATS, c.Namespace, partitions, id, c.Worker, c.Logger)}
}

// Join makes this worker known to the others of the namespace, and watches the store, until ctx
// ends. It acquires nothing yet.
func (o *Ownership) Join(ctx context.Context, group *sync.WaitGroup) error {
	if err := o.Roster.Join(ctx, group); err != nil {
		return err
	}
	group.Go(func() { o.watchStore(ctx) })
	return nil
}

// Run acquires this worker's share of the partitions and runs the duties for each until ctx ends.
// Then it hands its partitions over. For each partition the duties end one after the other, then
// the lane, then the publisher.
func (o *Ownership) Run(ctx context.Context, requests Requests, duties ...Duty) {
	s := newSteward(o, requests, duties)
	o.Roster.Activate()
	s.run(ctx)
}

// Owned returns the number of partitions that this worker owns.
func (o *Ownership) Owned() int { return int(o.owned.Load()) }

// Owns tells whether this worker owns a partition.
func (o *Ownership) Owns(partition int) bool { return o.Lanes[partition].Load() != nil }

// Rows returns the rows of all partitions as last read from the store, or nil before the first
// read.
func (o *Ownership) Rows() []store.Partition {
	if rows := o.rows.Load(); rows != nil {
		return *rows
	}
	return nil
}

// Others tells whether another worker is there to hand over to.
func (o *Ownership) Others() bool {
	for _, m := range o.Roster.Members() {
		if m.ID != o.ID && (m.State == membership.Active || m.State == membership.Joining) {
			return true
		}
	}
	return false
}

// Retry calls work until it succeeds or ctx ends, and logs the errors. All partitions usually meet
// the same error, so only one line is logged now and then. If anew is not nil and work fails with
// it, Retry begins with short waits again and logs nothing.
func (o *Ownership) Retry(ctx context.Context, task string, anew error, work func() error) error {
	waits := backoff.NewExponentialBackOff(backoff.WithInitialInterval(50*time.Millisecond),
		backoff.WithMaxInterval(2*time.Second), backoff.WithMaxElapsedTime(0))
	return backoff.RetryNotify(work, backoff.WithContext(waits, ctx), func(err error, wait time.Duration) {
		if anew != nil && errors.Is(err, anew) {
			waits.Reset()
			return
		}
		o.Logger.Log(ctx, o.retrying.Level(slog.LevelWarn), "something failed and is tried again", "task", task, "error", err, "in", wait)
	})
}
