package lane

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/maestro-es/maestro/store"
)

// origin is where a statement comes from.
type origin struct {
	projection string
	task       int
}

// queueAll queues the SQL for the events of a task, which are those from first on, or nothing after
// an error.
func (a *attempt) queueAll(task, first int) error {
	queued := len(a.queuedBy)
	for n := first; n < len(a.commit.Events); n++ {
		e := &a.commit.Events[n]
		for _, p := range a.lane.Projections {
			if !p.Queued() || !p.Wants(e.Aggregate.Type, e.Type) {
				continue
			}
			a.lane.doing.turn(Deciding, e.Aggregate, a.commandOf(n), p.Name())
			a.lane.hand = hand{task: task, projection: p.Name()}
			if err := p.Queue(&a.queue, *e); err != nil {
				a.queue.QueuedQueries, a.queuedBy = a.queue.QueuedQueries[:queued], a.queuedBy[:queued]
				a.commit.Statements = a.commit.Statements[:queued]
				return &projectionError{projection: p.Name(), task: task, err: err}
			}
			for n := len(a.queuedBy); n < a.queue.Len(); n++ {
				a.queuedBy = append(a.queuedBy, origin{p.Name(), task})
				a.commit.Statements = append(a.commit.Statements, store.Statement{Model: p.Model(), Query: a.queue.QueuedQueries[n]})
			}
		}
	}
	return nil
}

// failed is the failure of a statement, by its index, as that of the projection that it comes from.
func (a *attempt) failed(statement int, err error) error {
	from := a.queuedBy[statement]
	return &projectionError{projection: from.projection, task: from.task, err: fmt.Errorf("projection %q: %w", from.projection, err)}
}

// wanted tells whether a projection takes the event in the transaction.
func (l *Lane) wanted(aggregateType, event string) bool {
	return slices.ContainsFunc(l.Projections, func(p Projection) bool { return !p.Queued() && p.Wants(aggregateType, event) })
}

// handlers are the projections that have the commit's transaction in hand, each with the events
// that it takes.
func (a *attempt) handlers() (all []store.Handler) {
	for _, p := range a.lane.Projections {
		if p.Queued() {
			continue
		}
		events, tasks := a.wantedBy(p)
		if len(events) == 0 {
			continue
		}
		all = append(all, store.Handler{Model: p.Model(), Run: func(ctx context.Context, tx pgx.Tx) error {
			a.lane.doing.turn(Projecting, events[0].Aggregate, a.theCommandOf(tasks), p.Name())
			a.lane.hand = hand{task: theTask(tasks), projection: p.Name()}
			start := time.Now()
			defer func() {
				a.projecting += time.Since(start)
				a.lane.doing.begin(Committing)
			}()
			err := p.Project(ctx, tx, events)
			if err == nil {
				return nil
			}
			a.failing = &projectionError{projection: p.Name(), task: taskOf(err, tasks), err: err}
			return a.failing
		}})
	}
	return all
}

// commandOf is the name of the command that led to an event of the commit.
func (a *attempt) commandOf(event int) string { return a.tasks[a.taskOf[event]].command.Name }

// theCommandOf is the name of the command that events come from, empty if they come from several.
func (a *attempt) theCommandOf(tasks []int) string {
	if tasks[0] != tasks[len(tasks)-1] { // they rise
		return ""
	}
	return a.tasks[tasks[0]].command.Name
}

// wantedBy are the commit's events that a projection takes, and the task that each comes from.
func (a *attempt) wantedBy(p Projection) (events []store.Event, tasks []int) {
	for n, e := range a.commit.Events {
		if p.Wants(e.Aggregate.Type, e.Type) {
			events, tasks = append(events, e), append(tasks, a.taskOf[n])
		}
	}
	return events, tasks
}

// taskOf is the task that a projection failed on, or severalTasks. Tasks are those of the events
// that the projection was given.
func taskOf(err error, tasks []int) int {
	if failed, is := errors.AsType[*store.HandlerError](err); is {
		tasks = tasks[failed.First : failed.First+failed.Count]
	}
	return theTask(tasks)
}

// theTask is the task that events come from, or severalTasks.
func theTask(tasks []int) int {
	if tasks[0] != tasks[len(tasks)-1] { // they rise
		return severalTasks
	}
	return tasks[0]
}

// severalTasks: the failure of a projection is that of one of several tasks, it is not known of
// which.
const severalTasks = -1

// projectionError is the failure of an in-transaction projection on the events of one task of the
// batch, or of severalTasks.
type projectionError struct {
	projection string
	task       int
	err        error
}

func (e *projectionError) Error() string { return e.err.Error() }
func (e *projectionError) Unwrap() error { return e.err }
