package lane

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/internal/hlc"
	"github.com/maestro-es/maestro/internal/wire"
	"github.com/maestro-es/maestro/protocol"
	"github.com/maestro-es/maestro/store"
)

// attempt is one evaluation of a batch. It holds the commit to make, and the answers to give once
// the commit is made.
type attempt struct {
	lane *Lane
	// tasks are the evaluated tasks of the batch; rest are its tasks whose turn has not come.
	tasks, rest []task
	commit      *store.Commit
	// results and readErrors have the index of tasks. taskOf has the index of the commit's events,
	// and holds each event's task.
	results    []Result
	readErrors []error
	taskOf     []int
	// Projections put SQL for the commit into queue. queuedBy holds the origin of each statement.
	queue    pgx.Batch
	queuedBy []origin
	// now holds the batch's aggregates after the tasks so far; broken holds the errors of
	// aggregates that could not be loaded.
	now    map[store.Key]aggregate.Instance
	broken map[store.Key]error
	// unread are the aggregates that were not loaded in time.
	unread map[store.Key]bool
	// folding holds the duplicates (by index in tasks) whose state must be read from the log.
	folding map[int]bool
	bytes   int // of the commit
	// failing is the error of a projection that failed while it used the transaction.
	failing *projectionError
	// projecting is how long projections used the transaction.
	projecting time.Duration
	// receipts holds the known receipts of the batch's commands; it is nil unless checkReceipts is
	// set. after holds the aggregate after each command that this batch decided.
	receipts  map[store.CommandKey]store.Receipt
	after     map[store.CommandKey]aggregate.Instance
	found     int
	loaded    int // aggregates that were not in memory
	current   bool
	projected bool
}

// newCommit returns a commit that only saves which events are known to be published.
func (l *Lane) newCommit() *store.Commit {
	c := l.at.Next()
	c.Known = true
	c.Published, c.EventStreamCreated = l.published()
	return c
}

// evaluate decides the tasks in order. Each task sees the aggregates as the tasks before it left
// them.
func (l *Lane) evaluate(ctx context.Context, tasks []task) (*attempt, error) {
	a := &attempt{lane: l, tasks: tasks, commit: l.newCommit(), results: make([]Result, len(tasks)),
		now: make(map[store.Key]aggregate.Instance, len(tasks)), after: map[store.CommandKey]aggregate.Instance{}}
	a.commit.Receipts = make([]store.Receipt, 0, len(tasks))
	a.commit.Events = make([]store.Event, 0, len(tasks))
	a.taskOf = make([]int, 0, len(tasks))
	l.doing.begin(Loading)
	if l.checkReceipts {
		var err error
		if a.receipts, err = l.lookUp(ctx, tasks); err != nil {
			return nil, err
		}
	}
	if err := a.load(ctx); err != nil {
		return nil, err
	}
	a.leaveUnread()
	if err := a.decideAll(ctx); err != nil {
		return nil, err
	}
	if a.projected {
		a.commit.Handlers = a.handlers()
	}
	if a.projected || l.timed {
		a.commit.Patience = l.Budgets.Projections
	}
	return a, nil
}

// leaveUnread moves the tasks whose aggregates were not loaded to rest. The backlog stays in order,
// so all tasks of the backlog behind such a task move too.
func (a *attempt) leaveUnread() {
	if len(a.unread) == 0 {
		return
	}
	var ready []task
	waits := false
	for _, t := range a.tasks {
		if a.unread[t.key()] || t.durable() && waits {
			waits = waits || t.durable()
			a.rest = append(a.rest, t)
		} else {
			ready = append(ready, t)
		}
	}
	a.tasks = ready
}

// decideAll decides the tasks until the turn's time is over or the commit is large.
func (a *attempt) decideAll(ctx context.Context) error {
	l, start := a.lane, time.Now()
	for i, t := range a.tasks {
		l.doing.turn(Deciding, t.key(), t.name(), "")
		l.hand = hand{task: i}
		if i > 0 && (a.bytes > maxBatchBytes || l.doing.since().Sub(start) > l.Budgets.Turn) {
			a.rest = slices.Concat(a.tasks[i:], a.rest)
			a.tasks = a.tasks[:i]
			return nil
		}
		if t.command == nil {
			a.look(i, t.read)
			continue
		}
		end := t.command.traceEvaluate(ctx)
		err := a.decide(ctx, i, t.command)
		end()
		if err != nil {
			return err
		}
	}
	return nil
}

// lookUp finds the receipts of the batch's commands.
func (l *Lane) lookUp(ctx context.Context, tasks []task) (map[store.CommandKey]store.Receipt, error) {
	keys := make([]store.CommandKey, 0, len(tasks))
	for _, t := range tasks {
		if t.command != nil && t.command.addressed() {
			keys = append(keys, t.command.key())
		}
	}
	ctx, cancel := context.WithTimeout(ctx, l.Budgets.Attempt)
	defer cancel()
	receipts, err := l.Store.Receipts(ctx, l.at.Number, keys)
	if err != nil {
		return nil, fmt.Errorf("look up receipts: %w", err)
	}
	if receipts == nil {
		receipts = map[store.CommandKey]store.Receipt{}
	}
	return receipts, nil
}

// decide gives one command its outcome and adds its events and receipt to the commit.
func (a *attempt) decide(ctx context.Context, i int, c *Command) error {
	if c.durable() {
		a.commit.Cursor = c.Cursor
	}
	if receipt, known := a.receipts[c.key()]; known {
		a.found++
		var err error
		a.results[i], err = a.again(ctx, i, c, receipt)
		return err
	}
	at := a.lane.clock.Now()
	instance, decided, refusal := a.execute(c, at)
	if refusal == nil {
		if refusal = a.accept(i, c, instance, decided, at); refusal == nil {
			return nil
		}
		instance = a.now[c.Key]
	}
	a.refuse(i, c, instance, refusal, at)
	return nil
}

// execute runs the command on the aggregate. The returned instance is nil if the aggregate's type
// is unknown or it could not be loaded.
func (a *attempt) execute(c *Command, at hlc.Reading) (aggregate.Instance, []aggregate.Decided, *Refusal) {
	if c.Refusal != nil {
		instance, _ := a.instance(c.Key)
		return instance, nil, c.Refusal
	}
	instance, refusal := a.instance(c.Key)
	if refusal != nil {
		return nil, nil, refusal
	}
	if !c.Deadline.IsZero() && forDeadlines(at).After(c.Deadline) {
		return instance, nil, Fail(protocol.CodeDeadlineExceeded, "the command's deadline %s had passed when its turn came",
			c.Deadline.UTC().Format(time.RFC3339Nano))
	}
	if c.ExpectSequence != nil && *c.ExpectSequence != instance.Sequence() {
		return instance, nil, refusalOf(&aggregate.SequenceMismatchError{Aggregate: c.Key.Type, ID: c.Key.ID,
			Expected: *c.ExpectSequence, Actual: instance.Sequence()})
	}
	next := instance.Clone()
	decided, err := next.Execute(c.Name, c.Body, aggregate.Metadata{ID: c.ID, CorrelationID: c.CorrelationID,
		CausationID: c.CausationID, Time: at.Time})
	if err != nil {
		return instance, nil, refusalOf(err)
	}
	for _, d := range decided {
		if most := a.lane.MaxEventBytes(); len(d.Body) > most {
			return instance, nil, Fail(protocol.CodeTooLarge, "event %s has %d bytes, at most %d can be published",
				d.Type, len(d.Body), most)
		}
	}
	return next, decided, nil
}

// instance returns the aggregate as the tasks before left it.
func (a *attempt) instance(key store.Key) (aggregate.Instance, *Refusal) {
	if instance := a.now[key]; instance != nil {
		return instance, nil
	}
	if err, is := a.broken[key]; is {
		return nil, Fail(protocol.CodeUnreadableAggregate, "%s", err)
	}
	return nil, Fail(protocol.CodeUnknownAggregate, "no aggregate type %q is defined here; there are: %s", key.Type, a.lane.typeNames())
}

// accept adds the command's events and receipt to the commit. If a projection refuses an event, it
// adds nothing.
func (a *attempt) accept(i int, c *Command, next aggregate.Instance, decided []aggregate.Decided, at hlc.Reading) *Refusal {
	first := len(a.commit.Events)
	for _, d := range decided {
		a.bytes += len(d.Body)
		a.commit.Events = append(a.commit.Events, store.Event{
			Partition: a.commit.Partition, Position: a.commit.Position + int64(len(a.commit.Events)) + 1,
			Aggregate: c.Key, Recorded: d.Recorded, Metadata: c.metadata(), RecordedAt: at.Time, Value: d.Value})
		a.taskOf = append(a.taskOf, i)
	}
	if err := a.queueAll(i, first); err != nil {
		a.commit.Events, a.taskOf = a.commit.Events[:first], a.taskOf[:first]
		return refusalOf(err)
	}
	for _, d := range decided {
		a.projected = a.projected || a.lane.wanted(c.Key.Type, d.Type)
	}
	a.now[c.Key] = next
	outcome := a.outcomeOf(c, next)
	a.results[i].Outcome = outcome
	a.results[i].show(c.Return, a.commit.Events[first:], next)
	if a.receipts != nil {
		a.after[c.key()] = next
	}
	a.receipt(c, store.Receipt{Status: store.Committed, Sequence: outcome.Sequence, Position: outcome.Position,
		Events: len(decided), At: at.Latest})
	return nil
}

// refuse adds the receipt of a command that did not take effect, and a dead letter if it failed on
// the durable stream.
func (a *attempt) refuse(i int, c *Command, at aggregate.Instance, r *Refusal, now hlc.Reading) {
	outcome := a.outcomeOf(c, at)
	outcome.Status, outcome.Error = r.Status, r.error()
	a.results[i] = Result{Outcome: outcome, Err: r.cause()}
	if r.Status == store.Failed {
		a.lane.Logger.DebugContext(c.traced(context.Background()), "command failed", "subject", c.Subject, "command_id", c.ID,
			"code", r.Code, "error", r.Message)
	}
	if r.Status == store.Failed && c.durable() {
		a.bytes += len(c.Body)
		a.commit.DeadLetters = append(a.commit.DeadLetters, store.DeadLetter{ID: hlc.NewID(), Subject: wire.Printable(c.Subject),
			Headers: wire.PrintableHeader(c.Header), Body: c.Body, Sequence: c.Cursor.Sequence, CommandID: c.ID,
			Code: outcome.Error.Code, Message: outcome.Error.Message, At: now.Time})
	}
	if r.Code == protocol.CodeDeadlineExceeded && !c.durable() {
		return // its client may ask again with more time
	}
	a.receipt(c, store.Receipt{Status: r.Status, Sequence: outcome.Sequence, Position: outcome.Position,
		Error: outcome.Error, At: now.Latest})
}

// receipt adds a receipt to the commit. While receipts are checked, later tasks of the batch see it
// too.
func (a *attempt) receipt(c *Command, r store.Receipt) {
	if !c.addressed() {
		return
	}
	r.Aggregate, r.CommandID = c.Key, c.ID
	a.commit.Receipts = append(a.commit.Receipts, r)
	if a.receipts != nil {
		a.receipts[c.key()] = r
	}
}
