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

// Requests are those of clients, which follow the partitions to their owners.
type Requests interface {
	// Review routes the requests whose partition may have another owner by now.
	Review(now time.Time)
	// StopServing ends the taking of requests by a worker that nobody takes over from.
	StopServing()
}

// Config is what ownership works with. All fields are required.
type Config struct {
	NATS      *nats.Conn
	Namespace wire.Namespace
	Store     Store
	// Lane is what all lanes have in common.
	Lane lane.Config
	// Publisher makes the publisher of a partition that has just been acquired.
	Publisher func(at store.Partition) Publisher
	// Worker names this worker as an owner.
	Worker string
	Logger *slog.Logger
}

// Ownership is what this worker owns and is to own.
type Ownership struct {
	Config
	// ID names this worker among the members of the roster.
	ID     string
	Roster *membership.Roster
	// Lanes are by partition: nil where this worker is not the owner.
	Lanes []atomic.Pointer[lane.Lane]

	tenures     []atomic.Pointer[Tenure] // as Lanes, with what else belongs to it
	owned       atomic.Int64
	rows        atomic.Pointer[[]store.Partition] // as the store last had them
	seen        []atomic.Int64                    // the furthest position that each partition's log was seen at
	regressed   chan int                          // partitions whose log has gone back
	regressions telemetry.Seldom
	retrying    telemetry.Seldom
}

// New returns an ownership of nothing.
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

// Run acquires this worker's share of the partitions and has the duties done for each, until ctx
// ends. Then it hands its partitions over. The duties end one after the other, before the lane and
// then the publisher do.
func (o *Ownership) Run(ctx context.Context, requests Requests, duties ...Duty) {
	s := newSteward(o, requests, duties)
	o.Roster.Activate()
	s.run(ctx)
}

// Owned is the number of partitions that this worker owns.
func (o *Ownership) Owned() int { return int(o.owned.Load()) }

// Owns tells whether this worker owns a partition.
func (o *Ownership) Owns(partition int) bool { return o.Lanes[partition].Load() != nil }

// Rows are the rows of all partitions as the store last had them, nil before the first look.
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

// Retry calls work until it succeeds or ctx ends, and reports what stands in the way. That is the
// same for all partitions, so one now and then speaks for them. After the error anew, if that is
// not nil, it begins with short waits again and reports nothing.
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
