package lane

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/jackc/pgx/v5"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/internal/hlc"
	"github.com/maestro-es/maestro/internal/telemetry"
	"github.com/maestro-es/maestro/store"
)

// Store is what a lane needs of the event log.
type Store interface {
	Partition(ctx context.Context, partition int) (store.Partition, error)
	Commit(ctx context.Context, c *store.Commit) error
	Load(ctx context.Context, partition int, queries []store.Query) ([]store.History, error)
	Events(ctx context.Context, partition int, key store.Key, above int64, limit int) ([]store.Event, error)
	Receipts(ctx context.Context, partition int, commands []store.CommandKey) (map[store.CommandKey]store.Receipt, error)
}

// Projection is a read model that is kept in the committing transaction.
type Projection interface {
	Name() string
	// Model is what its SQL belongs to.
	Model() *store.ReadModel
	Wants(aggregateType, event string) bool
	// Queued tells whether the projection's SQL comes from Queue, and need not be run by Project.
	Queued() bool
	// Queue adds the SQL for an event to a batch.
	Queue(into *pgx.Batch, event store.Event) error
	// Project takes all events of a commit that the projection wants. A [*store.HandlerError] says on which of them it failed.
	Project(ctx context.Context, tx pgx.Tx, events []store.Event) error
}

// Publisher carries committed events out of the partition.
type Publisher interface {
	// Committed tells that the log has come to a position, and hands over the events that were just committed. It does not
	// block.
	Committed(position int64, events []store.Event)
	// Published is the position of the last event that is known to be in the event stream, and which stream that is.
	Published() (position int64, stream time.Time)
	// Noticed tells now and then where the log was seen to be: others may have written to it.
	Noticed(position int64)
}

// Config is what lanes have in common.
type Config struct {
	Store       Store
	Types       map[string]aggregate.Type
	Projections []Projection
	Clock       *hlc.Clock
	Logger      *slog.Logger
	// Waiting, if not nil, keeps lanes that wait for the same store from all saying so.
	Waiting *telemetry.Seldom
	// Worked, if not nil, tells the lanes of a worker for which projections the others have made commits.
	Worked *Worked
	// Metrics get what is to be counted; nil stands for nobody.
	Metrics *telemetry.Metrics
	// Memory is for aggregates between batches. Snapshots, if not nil, keeps those that the aggregates' policies ask for.
	Memory    *Memory
	Snapshots *Snapshots
	// MaxBatch is the most commands in a transaction.
	MaxBatch int
	// MaxEventBytes is the largest body of an event at this moment.
	MaxEventBytes func() int
	// Budgets are the times that lanes work within.
	Budgets Budgets
}

// ErrStopped is what a task gets that a stopping lane did not come to.
var ErrStopped = errors.New("the partition's owner is stopping")

// ErrBusy says that the lane's queue is full.
var ErrBusy = errors.New("the partition's queue is full")

// maxBatchBytes ends a batch of large commands early.
const maxBatchBytes = 4 << 20

// Lane handles the commands of one partition. Make it with New, run it with Run.
type Lane struct {
	Config
	publisher Publisher
	in        chan task
	done      chan struct{}
	doing     doing

	// What follows belongs to the goroutine of Run.
	at            store.Partition
	cache         cache
	window        int
	began         time.Time // the attempt in hand
	repair        repair
	checkReceipts bool
	// unproven says that no commit was acknowledged since the log was read after a commit of unknown outcome; found, that the read
	// found events of which the publisher does not know.
	unproven, found bool
	measures        measures
	complained      telemetry.Seldom // of what single commands cause
}

// New returns the lane of the partition in the state at, which its owner has just acquired. The publisher may be nil.
func New(c Config, at store.Partition, publisher Publisher) *Lane {
	c.Clock.Observe(at.Time)
	if c.Metrics == nil {
		c.Metrics = telemetry.Discard()
	}
	if c.Worked == nil {
		c.Worked = &Worked{}
	}
	c.Budgets = c.Budgets.withDefaults()
	l := &Lane{Config: c, publisher: publisher, in: make(chan task, 4*c.MaxBatch), done: make(chan struct{}),
		at: at, cache: newCache(), window: c.MaxBatch, measures: measures{count: map[telemetry.Kind]func(int64){}}}
	l.measures.gauges.position.Store(at.Position)
	return l
}

// Submit queues a command and waits while the queue is full.
func (l *Lane) Submit(ctx context.Context, c *Command) error { return l.submit(ctx, task{command: c}) }

// SubmitRead queues a read and waits while the queue is full.
func (l *Lane) SubmitRead(ctx context.Context, r *Read) error { return l.submit(ctx, task{read: r}) }

func (l *Lane) submit(ctx context.Context, t task) error {
	t.arrive()
	select {
	case l.in <- t:
		return l.queued()
	case <-l.done:
		t.traceAbandoned()
		return ErrStopped
	case <-ctx.Done():
		t.traceAbandoned()
		return ctx.Err()
	}
}

// Offer queues a command unless the queue is full, which it says with ErrBusy.
func (l *Lane) Offer(c *Command) error { return l.offer(task{command: c}) }

// OfferRead queues a read unless the queue is full, which it says with ErrBusy.
func (l *Lane) OfferRead(r *Read) error { return l.offer(task{read: r}) }

func (l *Lane) offer(t task) error {
	t.arrive()
	select {
	case l.in <- t:
		return l.queued()
	case <-l.done:
		t.traceAbandoned()
		return ErrStopped
	default:
		t.traceAbandoned()
		return ErrBusy
	}
}

// queued makes sure that somebody answers what was just queued: Run, or the caller if Run has ended meanwhile.
func (l *Lane) queued() error {
	select {
	case <-l.done:
		l.refuseRest()
	default:
	}
	return nil
}

// Run handles tasks until ctx ends, then finishes the batch in hand and returns nil. It returns an error that wraps
// [store.ErrFenced] when the partition has another owner.
func (l *Lane) Run(ctx context.Context) error {
	defer l.refuseRest()
	defer close(l.done)
	l.Memory.lanes.Add(1)
	defer l.Memory.lanes.Add(-1)
	look, stop := l.Memory.lookForIdle()
	defer stop()
	batch := make([]task, 0, l.MaxBatch)
	for {
		select {
		case <-ctx.Done():
			return l.checkpoint(context.WithoutCancel(ctx))
		case now := <-look:
			l.shrink(now.UnixNano())
			l.measureCache()
			continue
		case t := <-l.in:
			batch = l.gather(append(batch[:0], t))
		}
		if err := l.settle(ctx, batch); err != nil {
			if ctx.Err() != nil && !errors.Is(err, store.ErrFenced) {
				return nil
			}
			return err
		}
		clear(batch)
	}
}

// gather adds what is waiting, up to a full batch.
func (l *Lane) gather(batch []task) []task {
	bytes := 0
	for len(batch) < l.MaxBatch && bytes < maxBatchBytes {
		select {
		case t := <-l.in:
			batch = append(batch, t)
			if t.command != nil {
				bytes += len(t.command.Body)
			}
		default:
			return batch
		}
	}
	return batch
}

// refuseRest answers the tasks that nobody will come to any more. Durable commands need no answer: their next owner reads
// them from the stream again.
func (l *Lane) refuseRest() {
	for {
		select {
		case t := <-l.in:
			l.abandon(t)
		default:
			return
		}
	}
}

func (l *Lane) abandon(t task) {
	t.traceAbandoned()
	switch {
	case t.read != nil:
		t.read.Done(ErrStopped)
	case !t.command.durable() && t.command.Done != nil:
		r := Fail(CodeUnavailable, "%s: retry with the same command id", ErrStopped)
		r.Err = ErrStopped
		t.command.Done(l.refused(t.command, r))
	}
}

// checkpoint saves what is known to be published, so that the next owner need not look for it.
func (l *Lane) checkpoint(ctx context.Context) error {
	published, stream := l.published()
	if published == l.at.Published && stream.Equal(l.at.EventStream) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, l.Budgets.Attempt)
	defer cancel()
	err := l.Store.Commit(ctx, l.newCommit())
	if store.Judge(err) != store.Stop {
		return nil // it is a convenience: the event stream itself tells
	}
	return err
}

// Noticed tells the publisher where the log was seen to be. It may be called at any time.
func (l *Lane) Noticed(position int64) {
	if l.publisher != nil {
		l.publisher.Noticed(position)
	}
}

func (l *Lane) published() (int64, time.Time) {
	if l.publisher == nil {
		return l.at.Published, l.at.EventStream
	}
	return l.publisher.Published()
}

// newBackoff spaces the attempts at a batch: 20 ms at first, 2 s at most, without end.
func newBackoff() backoff.BackOff {
	return backoff.NewExponentialBackOff(backoff.WithInitialInterval(20*time.Millisecond),
		backoff.WithMaxInterval(2*time.Second), backoff.WithMaxElapsedTime(0))
}
