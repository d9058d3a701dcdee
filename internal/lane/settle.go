package lane

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/cenkalti/backoff/v4"
	"go.opentelemetry.io/otel/trace"

	"github.com/maestro-es/maestro/store"
)

// settle brings every task of the batch to its end. It evaluates and commits as many at once as the window allows; after a
// refused commit the cause is mended and the rest is evaluated anew. It returns early only when the lane has lost the partition
// or ctx ends while a server is away.
func (l *Lane) settle(ctx context.Context, tasks []task) error {
	l.take(tasks)
	defer l.finished()
	var waits backoff.BackOff
	for len(tasks) > 0 {
		n := min(len(tasks), l.window)
		err := l.try(context.WithoutCancel(ctx), tasks[:n])
		if err == nil {
			l.doing.succeeded()
			tasks, waits = tasks[n:], nil
			l.window = min(2*l.window, l.MaxBatch)
			continue
		}
		l.doing.failed(err)
		if l.mend(err, tasks[:n]) {
			continue
		}
		if verdictOf(err) == store.Stop {
			l.abandonAll(tasks)
			return fmt.Errorf("partition %d: %w", l.at.Number, err)
		}
		wait := time.Duration(0)
		if waits != nil {
			wait = waits.NextBackOff()
		} else {
			waits = newBackoff()
			l.logWait(err)
		}
		if err := l.recover(ctx, wait, waits); err != nil {
			l.abandonAll(tasks)
			return err
		}
	}
	return nil
}

// try evaluates and commits the tasks once and tells everybody.
func (l *Lane) try(ctx context.Context, tasks []task) (err error) {
	ctx, cancel := context.WithTimeout(ctx, l.Budgets.Attempt)
	defer cancel()
	ctx, batch := l.traceBatch(ctx, tasks)
	defer func() { endSpan(batch, err) }()
	start := time.Now()
	l.began = start
	a, err := l.evaluate(ctx, tasks)
	if err != nil {
		return err
	}
	l.Metrics.Evaluated(time.Since(start), len(a.now)-a.loaded, a.loaded)
	switch {
	case a.writes() || l.unproven:
		err = l.commit(ctx, a, batch)
	case a.current:
		err = l.confirm(ctx)
	}
	if err != nil {
		return err
	}
	l.conclude(a)
	return nil
}

func (l *Lane) commit(ctx context.Context, a *attempt, batch trace.Span) error {
	ctx, span := a.traceCommit(ctx, batch)
	start := time.Now()
	l.doing.begin(Committing)
	err := l.Store.Commit(ctx, a.commit)
	if statement, is := errors.AsType[*store.StatementError](err); is {
		err = a.failed(statement.Index, err)
	}
	if endSpan(span, err); err != nil {
		l.Metrics.NotCommitted(reasonOf(err))
		return err
	}
	l.Metrics.Committed(time.Since(start), len(a.tasks))
	l.Worked.note(a.commit, l.began)
	return nil
}

// confirm makes sure that the log is where the lane believes it to be, so that what was read is current.
func (l *Lane) confirm(ctx context.Context) error {
	row, err := l.Store.Partition(ctx, l.at.Number)
	switch {
	case err != nil:
		return err
	case row.Epoch != l.at.Epoch:
		return store.ErrFenced
	case row.Position != l.at.Position:
		return store.ErrConflict
	}
	return nil
}

// mend removes the cause of a refused commit where that lies in the batch, and tells whether it did.
func (l *Lane) mend(err error, tasks []task) bool {
	verdict := verdictOf(err)
	switch {
	case errors.Is(err, store.ErrDuplicate) && !l.checkReceipts:
		l.checkReceipts = true
		return true
	case verdict != store.Refuse && verdict != store.Halve && verdict != store.Repair:
		return false
	}
	projected, is := errors.AsType[*projectionError](err)
	if verdict == store.Repair {
		return l.mendRepair(err, projected, tasks, l.began)
	}
	if is && projected.task != severalTasks {
		tasks[projected.task].command.Refusal = refusalOf(err)
		l.window = projected.task + 1 // what comes before it is known to be good
		return true
	}
	if len(tasks) > 1 {
		l.window = len(tasks) / 2
		return true
	}
	if tasks[0].command == nil {
		return false
	}
	tasks[0].command.Refusal = refusalOf(err)
	return true
}

func (l *Lane) logWait(err error) {
	if errors.Is(err, store.ErrConflict) {
		l.Logger.Debug("somebody else wrote to the partition: deciding anew", "partition", l.at.Number)
		return
	}
	level := slog.LevelWarn
	if l.Waiting != nil {
		level = l.Waiting.Level(level)
	}
	l.Logger.Log(context.Background(), level, "commands wait: the commit failed and is tried again", "partition", l.at.Number, "error", err)
}

// conclude makes the attempt's commit the lane's state and answers its tasks.
func (l *Lane) conclude(a *attempt) {
	if l.found && l.publisher != nil { // it reads in the log what the lane has not told it
		l.publisher.Committed(l.at.Position, nil)
	}
	if len(a.commit.Events) > 0 {
		l.at.Time = a.commit.Events[len(a.commit.Events)-1].RecordedAt
	}
	l.at.Position += int64(len(a.commit.Events))
	if a.writes() || l.unproven {
		l.at.Published, l.at.EventStream = a.commit.Published, a.commit.EventStream
	}
	l.at.Cursor = a.commit.Cursor
	l.checkReceipts = l.checkReceipts && a.found > 0
	l.unproven, l.found = false, false
	for i, t := range a.tasks {
		switch {
		case t.read != nil:
			t.read.Done(a.readErrors[i])
			continue
		case t.command.Done != nil:
			t.command.Done(a.results[i])
		}
		t.command.traceOutcome(&a.results[i])
	}
	if l.publisher != nil && len(a.commit.Events) > 0 {
		l.publisher.Committed(l.at.Position, a.commit.Events)
	}
	l.keepAggregates(a)
	l.measure(a)
}

func (l *Lane) abandonAll(tasks []task) {
	for _, t := range tasks {
		l.abandon(t)
	}
}
