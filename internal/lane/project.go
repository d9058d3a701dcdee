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

// queueAll queues the SQL for the events of a task: all events from first on. After an error it has
// queued nothing.
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

// failed returns the failure of a statement (given by its index) as an error of the statement's
// projection.
func (a *attempt) failed(statement int, err error) error {
	from := a.queuedBy[statement]
	return &projectionError{projection: from.projection, task: from.task, err: fmt.Errorf("projection %q: %w", from.projection, err)}
}

// wanted tells whether a projection takes the event in the transaction.
func (l *Lane) wanted(aggregateType, event string) bool {
	return slices.ContainsFunc(l.Projections, func(p Projection) bool { return !p.Queued() && p.Wants(aggregateType, event) })
}

// handlers returns a handler for each projection that uses the commit's transaction, with the
// events that the projection wants.
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

// commandOf returns the name of the command that caused an event of the commit.
func (a *attempt) commandOf(event int) string { return a.tasks[a.taskOf[event]].command.Name }

// theCommandOf returns the name of the command that the tasks have in common, or "" if they are
// several.
func (a *attempt) theCommandOf(tasks []int) string {
	if tasks[0] != tasks[len(tasks)-1] { // they rise
		return ""
	}
	return a.tasks[tasks[0]].command.Name
}

// wantedBy returns the commit's events that a projection wants, and the task of each event.
func (a *attempt) wantedBy(p Projection) (events []store.Event, tasks []int) {
	for n, e := range a.commit.Events {
		if p.Wants(e.Aggregate.Type, e.Type) {
			events, tasks = append(events, e), append(tasks, a.taskOf[n])
		}
	}
	return events, tasks
}

// taskOf returns the task that a projection failed on, or severalTasks. tasks are the tasks of the
// events that the projection was given.
func taskOf(err error, tasks []int) int {
	if failed, is := errors.AsType[*store.HandlerError](err); is {
		tasks = tasks[failed.First : failed.First+failed.Count]
	}
	return theTask(tasks)
}

// theTask returns the task that all events come from, or severalTasks.
func theTask(tasks []int) int {
	if tasks[0] != tasks[len(tasks)-1] { // they rise
		return severalTasks
	}
	return tasks[0]
}

// severalTasks says that one of several tasks caused a failure, but not which one.
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
