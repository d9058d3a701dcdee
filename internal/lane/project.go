package lane

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/maestro-es/maestro/store"
)

// origin is where a statement comes from.
type origin struct {
	projection string
	task       int
}

// queueAll queues the SQL for the events of a task, which are those from first on, or nothing after an error.
func (a *attempt) queueAll(task, first int) error {
	queued := len(a.queuedBy)
	for n := first; n < len(a.commit.Events); n++ {
		e := &a.commit.Events[n]
		for _, p := range a.lane.Projections {
			if !p.Queued() || !p.Wants(e.Aggregate.Type, e.Type) {
				continue
			}
			a.lane.doing.turn(Deciding, e.Aggregate, a.commandOf(n), p.Name())
			if err := p.Queue(&a.queue, *e); err != nil {
				a.queue.QueuedQueries, a.queuedBy = a.queue.QueuedQueries[:queued], a.queuedBy[:queued]
				return &projectionError{projection: p.Name(), task: task, err: err}
			}
			for len(a.queuedBy) < a.queue.Len() {
				a.queuedBy = append(a.queuedBy, origin{p.Name(), task})
			}
		}
	}
	return nil
}

// failed is the failure of a statement as that of the projection that it comes from.
func (a *attempt) failed(s *store.StatementError) error {
	from := a.queuedBy[s.Index]
	return &projectionError{projection: from.projection, task: from.task, err: fmt.Errorf("projection %q: %w", from.projection, s.Err)}
}

// wanted tells whether a projection takes the event in the transaction.
func (l *Lane) wanted(aggregateType, event string) bool {
	return slices.ContainsFunc(l.Projections, func(p Projection) bool { return !p.Queued() && p.Wants(aggregateType, event) })
}

// project runs the projections that have the commit's transaction in hand: event by event those that take one at a time, then those
// that take all of them at once.
func (a *attempt) project(ctx context.Context, tx pgx.Tx) error {
	for n, e := range a.commit.Events {
		for _, p := range a.lane.Projections {
			if p.Queued() || p.Batched() || !p.Wants(e.Aggregate.Type, e.Type) {
				continue
			}
			a.lane.doing.turn(Projecting, e.Aggregate, a.commandOf(n), p.Name())
			if err := p.Project(ctx, tx, a.commit.Events[n:n+1]); err != nil {
				return &projectionError{projection: p.Name(), task: a.taskOf[n], err: err}
			}
		}
	}
	for _, p := range a.lane.Projections {
		if !p.Batched() {
			continue
		}
		if events, task := a.wantedBy(p); len(events) > 0 {
			a.lane.doing.turn(Projecting, events[0].Aggregate, "", p.Name())
			if err := p.Project(ctx, tx, events); err != nil {
				return &projectionError{projection: p.Name(), task: task, err: err}
			}
		}
	}
	a.lane.doing.begin(Committing)
	return nil
}

// commandOf is the name of the command that led to an event of the commit.
func (a *attempt) commandOf(event int) string { return a.tasks[a.taskOf[event]].command.Name }

// wantedBy are the commit's events that a projection takes, and the task that they all come from, or severalTasks.
func (a *attempt) wantedBy(p Projection) (events []store.Event, task int) {
	for n, e := range a.commit.Events {
		if !p.Wants(e.Aggregate.Type, e.Type) {
			continue
		}
		if events = append(events, e); len(events) == 1 {
			task = a.taskOf[n]
		} else if task != a.taskOf[n] {
			task = severalTasks
		}
	}
	return events, task
}

// severalTasks: the failure of a projection is that of one of several tasks, it is not known of which.
const severalTasks = -1

// projectionError is the failure of an in-transaction projection on the events of one task of the batch, or of severalTasks.
type projectionError struct {
	projection string
	task       int
	err        error
}

func (e *projectionError) Error() string { return e.err.Error() }
func (e *projectionError) Unwrap() error { return e.err }
