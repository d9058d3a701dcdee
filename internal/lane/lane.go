package lane

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/jackc/pgx/v5"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/internal/hlc"
	"github.com/maestro-es/maestro/internal/monotonic"
	"github.com/maestro-es/maestro/internal/telemetry"
	"github.com/maestro-es/maestro/protocol"
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
	// Model is the read model that the projection's SQL belongs to.
	Model() *store.ReadModel
	Wants(aggregateType, event string) bool
	// Queued tells whether the projection's SQL comes from Queue. Project is then not called.
	Queued() bool
	// Queue adds the SQL for an event to a batch.
	Queue(into *pgx.Batch, event store.Event) error
	// Project takes all events of a commit that the projection wants. Its error may be a
	// [*store.HandlerError], which says on which events it failed.
	Project(ctx context.Context, tx pgx.Tx, events []store.Event) error
}

// Publisher carries committed events out of the partition.
type Publisher interface {
	// Committed hands over the events just committed, and the position that the log has reached. It
	// does not block.
	Committed(position int64, events []store.Event)
	// Published returns the position of the last event that is known to be in the event stream.
	// stream is when that stream was created.
	Published() (position int64, stream time.Time)
	// Noticed is called now and then with the position at which the log was seen, because others
	// may have written to it.
	Noticed(position int64)
}

// Config is the configuration that all lanes share.
type Config struct {
	Store       Store
	Types       map[string]aggregate.Type
	Projections []Projection
	// Clock tells the store's time. Each lane derives its own clock from it.
	Clock  *hlc.Reference
	Logger *slog.Logger
	// Waiting, if not nil, limits the log lines of lanes that wait for the same store.
	Waiting *telemetry.Seldom
	// Worked, if not nil, tells each lane for which projections the worker's other lanes have made
	// commits.
	Worked *Worked
	// Metrics, if not nil, receives the measurements.
	Metrics *telemetry.Metrics
	// Memory keeps aggregates between batches. Snapshots, if not nil, stores the snapshots that the
	// aggregates' policies ask for.
	Memory    *Memory
	Snapshots *Snapshots
	// MaxBatch is the most commands in a transaction.
	MaxBatch int
	// MaxEventBytes returns the largest allowed body of an event at this moment.
	MaxEventBytes func() int
	// Budgets are the time limits of lanes.
	Budgets Budgets
}

// Lane handles the commands of one partition. Make it with New, run it with Run.
type Lane struct {
	Config
	publisher Publisher
	partition int
	intake    intake
	done      chan struct{}
	doing     doing

	// The fields below belong to the goroutine of Run.
	at            store.Partition
	clock         hlc.Clock
	cache         cache
	pending       pending
	batch, tried  []task // batch: the tasks in hand; tried: the tasks that the last attempt evaluated
	projected     bool   // the last attempt's commit had SQL or handlers of projections
	doubts        int    // attempts in a row that failed in doubt
	window        int
	began         time.Time // when the current attempt began
	repair        repair
	loads         loads
	held          map[store.Key]*hold
	hand          hand
	exits         map[store.Key]error // aggregates whose code ended the goroutine while they were read
	silent        map[string]bool     // the types whose snapshot encoder did not return in time
	trials        trials
	folds         folds
	waits         backoff.BackOff // between failed attempts; nil after a success
	checkReceipts bool
	// unproven says that the log was read after a commit of unknown outcome, and no commit was
	// acknowledged since. found says that this read found events that the publisher does not know.
	unproven, found bool
	// timed says that queued SQL took too long. For now it runs step by step, so that its time is
	// known.
	timed      bool
	measures   measures
	complained telemetry.Seldom // limits log lines that single commands cause
}

// New returns the lane of a partition. at is the partition's row, which its owner has just
// acquired. publisher may be nil.
func New(c Config, at store.Partition, publisher Publisher) *Lane {
	if c.Metrics == nil {
		c.Metrics = telemetry.Discard()
	}
	if c.Worked == nil {
		c.Worked = &Worked{}
	}
	c.Budgets = c.Budgets.withDefaults()
	l := &Lane{Config: c, publisher: publisher, partition: at.Number, intake: newIntake(c.MaxBatch, c.Memory.Intake),
		done: make(chan struct{}), at: at, clock: c.Clock.Clock(), cache: newCache(), window: c.MaxBatch, loads: newLoads(c.MaxBatch),
		held:  map[store.Key]*hold{},
		exits: map[store.Key]error{}, silent: map[string]bool{},
		measures: measures{count: map[telemetry.Kind]func(int64){}}}
	c.Clock.Saw(at.Clock, time.Time{})
	l.clock.Observe(at.Time, at.Clock)
	l.measures.gauges.position.Store(at.Position)
	l.folds.start(l)
	return l
}

// Run handles tasks until ctx ends, then finishes the batch in hand and returns nil. It returns an
// error that wraps [store.ErrFenced] when the partition has another owner.
func (l *Lane) Run(ctx context.Context) error {
	defer l.refuseRest()
	defer l.intake.close()
	defer close(l.done)
	defer l.abandonPending()
	defer l.folds.stop()
	l.Memory.lanes.Add(1)
	defer func() { l.Memory.lanes.Add(-1); l.Memory.used.Add(-l.cache.told) }()
	defer l.watch()()
	look, stop := l.Memory.lookForIdle()
	defer stop()
	for {
		returned, err := returns(func() error { return l.work(ctx, look) })
		if !returned {
			err = l.exited(ctx)
		}
		switch {
		case err != nil && ctx.Err() != nil && !errors.Is(err, store.ErrFenced):
			return nil
		case returned || err != nil:
			return err
		}
	}
}

// work handles tasks until ctx ends.
func (l *Lane) work(ctx context.Context, look <-chan time.Time) error {
	for ctx.Err() == nil {
		batch := l.pick(time.Now())
		if len(batch) == 0 {
			l.rest(ctx, look)
			continue
		}
		if err := l.turn(ctx, batch); err != nil {
			return err
		}
	}
	return l.checkpoint(context.WithoutCancel(ctx))
}

// rest waits until there may be something to do.
func (l *Lane) rest(ctx context.Context, look <-chan time.Time) {
	l.measureWaiting(nil)
	requests, backlog := l.pending.open(&l.intake)
	retry, stop := l.untilRetry()
	defer stop()
	select {
	case <-ctx.Done():
	case <-retry:
		l.shrink(int64(monotonic.Now()))
		l.measureCache()
	case <-look:
		l.shrink(int64(monotonic.Now()))
		l.measureCache()
	case t := <-requests:
		l.pending.requests = append(l.pending.requests, t)
	case t := <-backlog:
		l.pending.backlog = append(l.pending.backlog, t)
	}
}

// refuseRest answers the tasks left in the queues after Run has ended. Durable commands need no
// answer, because the next owner reads them from the stream again.
func (l *Lane) refuseRest() {
	for {
		select {
		case t := <-l.intake.requests:
			l.abandon(t)
		case t := <-l.intake.backlog:
			l.abandon(t)
		default:
			return
		}
	}
}

func (l *Lane) abandonPending() {
	for _, t := range slices.Concat(l.pending.requests, l.pending.backlog) {
		l.abandon(t)
	}
}

func (l *Lane) abandon(t task) {
	l.intake.leave(t)
	t.traceAbandoned()
	switch {
	case t.read != nil:
		t.read.Done(ErrStopped)
	case !t.command.durable() && t.command.Done != nil:
		t.command.Done(l.stopped(t.command))
	}
}

// stopped returns the result of a command that a stopping lane did not come to.
func (l *Lane) stopped(c *Command) Result {
	r := Fail(protocol.CodeUnavailable, "%s: retry with the same command id", ErrStopped)
	r.Err = ErrStopped
	return l.refused(c, r)
}

// checkpoint saves which events are known to be published, so that the next owner need not search
// for that position.
func (l *Lane) checkpoint(ctx context.Context) error {
	published, stream := l.published()
	if published == l.at.Published && stream.Equal(l.at.EventStreamCreated) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, l.Budgets.Attempt)
	defer cancel()
	err := l.Store.Commit(ctx, l.newCommit())
	if store.Judge(err) != store.Stop {
		return nil // the checkpoint is optional, because the event stream has the same information
	}
	return err
}

// Noticed tells the publisher at which position the log was seen. It may be called at any time.
func (l *Lane) Noticed(position int64) {
	if l.publisher != nil {
		l.publisher.Noticed(position)
	}
}

func (l *Lane) published() (int64, time.Time) {
	if l.publisher == nil {
		return l.at.Published, l.at.EventStreamCreated
	}
	return l.publisher.Published()
}

// newBackoff spaces the attempts at a batch: 20 ms at first, 2 s at most, without a limit on
// attempts.
func newBackoff() backoff.BackOff {
	return backoff.NewExponentialBackOff(backoff.WithInitialInterval(20*time.Millisecond),
		backoff.WithMaxInterval(2*time.Second), backoff.WithMaxElapsedTime(0))
}
