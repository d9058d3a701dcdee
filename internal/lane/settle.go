package lane

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/maestro-es/maestro/store"
)

// turn evaluates and commits the tasks of a batch once. Tasks that are not finished wait again; if
// the cause lies in the batch, turn removes it. It returns an error if the lane has lost the
// partition, or if ctx ends while a server is away.
func (l *Lane) turn(ctx context.Context, batch []task) error {
	l.take(batch)
	var rest []task
	var err error
	returned := false
	defer func() {
		if !returned {
			l.pending.putBack(batch)
		}
	}()
	if h := l.held[batch[0].key()]; h != nil { // a held task is tried alone
		rest, err = l.tryAlone(context.WithoutCancel(ctx), batch[0], h)
	} else {
		rest, err = l.try(context.WithoutCancel(ctx), batch)
	}
	if returned = true; err == nil {
		l.doing.succeeded()
		l.waits, l.doubts = nil, 0
		l.pending.putBack(rest)
		return nil
	}
	l.doing.failed(err)
	l.pending.putBack(batch)
	if len(l.tried) > 0 && l.mend(err, l.tried) {
		return nil
	}
	if verdictOf(err) == store.Stop {
		return fmt.Errorf("partition %d: %w", l.at.Number, err)
	}
	d := l.doubtOf(err)
	if isLate(err) { // fewer may be in time
		l.window = max(1, len(batch)/2)
	}
	if d != nil || isLate(err) { // running step by step shows the cause
		l.timed = true
	}
	wait := time.Duration(0)
	if l.waits != nil {
		wait = l.waits.NextBackOff()
	} else {
		l.waits = newBackoff()
		l.logWait(err)
	}
	tried := l.tried
	if err := l.recover(ctx, wait, l.waits); err != nil || d == nil {
		return err
	}
	if l.doubts++; l.doubts > 1 || l.isHeld(tried[0]) { // a single failure may be chance
		l.narrow(d, tried)
	}
	return nil
}

// try evaluates and commits the tasks once and answers them. It returns the tasks whose turn has
// not come.
func (l *Lane) try(ctx context.Context, tasks []task) (rest []task, err error) {
	ctx, batch := l.traceBatch(ctx, tasks)
	defer func() { endSpan(batch, err) }()
	l.tried, l.projected, l.hand = tasks, false, hand{task: severalTasks}
	start := time.Now()
	l.began = start
	a, err := l.evaluate(ctx, tasks)
	if err != nil {
		return nil, err
	}
	l.tried, l.projected = a.tasks, a.projected || len(a.commit.Statements) > 0
	evaluated := time.Since(start)
	l.Metrics.Evaluated(evaluated, len(a.now)-a.loaded, a.loaded)
	attempt, cancel := context.WithTimeout(ctx, l.Budgets.Attempt)
	defer cancel()
	switch {
	case a.writes() || l.unproven:
		err = l.commit(attempt, a, batch)
	case a.current:
		err = l.confirm(attempt)
	}
	if err != nil {
		return nil, err
	}
	l.pace(len(a.tasks), max(evaluated, a.projecting))
	l.conclude(a)
	return a.rest, nil
}

// pace sets how many tasks the next batch may have. It doubles the number if this batch took less
// than half a turn, and halves it if this batch took longer than a turn.
func (l *Lane) pace(tasks int, took time.Duration) {
	if took < l.Budgets.Turn/2 {
		l.window = min(max(l.window, 2*tasks), 2*l.window, l.MaxBatch)
	} else if took > l.Budgets.Turn {
		l.window = max(1, min(l.window, tasks/2))
	}
}

func (l *Lane) commit(ctx context.Context, a *attempt, batch trace.Span) error {
	ctx, span := a.traceCommit(ctx, batch)
	start := time.Now()
	l.doing.begin(Committing)
	l.hand = hand{task: severalTasks} // arguments of SQL may run the user's encoders
	err := l.Store.Commit(ctx, a.commit)
	if statement, is := errors.AsType[*store.StatementError](err); is {
		err = a.failed(statement.Index, err)
	} else if err != nil && a.failing != nil && !errors.As(err, new(*projectionError)) { // its connection was lost
		err = &projectionError{projection: a.failing.projection, task: a.failing.task, err: err}
	}
	if endSpan(span, err); err != nil {
		l.Metrics.NotCommitted(reasonOf(err))
		return err
	}
	took := time.Since(start)
	l.Clock.Saw(a.commit.Clock, start)
	l.Metrics.Committed(took, len(a.tasks))
	l.Worked.note(a.commit, l.began)
	if l.timed && len(a.commit.Statements) > 0 {
		a.projecting = took
		l.timed = took > l.Budgets.Turn
	}
	return nil
}

// confirm makes sure that the log is at the lane's position and epoch, so that the reads are
// current.
func (l *Lane) confirm(ctx context.Context) error {
	row, err := l.partitionRow(ctx)
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

// mend removes the cause of a refused commit if it lies in the batch. It marks a command refused or
// makes the next batch smaller, and returns true. Otherwise it returns false, and the caller waits
// and tries again.
func (l *Lane) mend(err error, tasks []task) bool {
	verdict := verdictOf(err)
	d := l.doubtOf(err)
	switch {
	case errors.Is(err, store.ErrDuplicate) && !l.checkReceipts:
		l.checkReceipts = true
		return true
	case d != nil && d.isSlow():
		l.narrow(d, tasks)
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
		l.window = projected.task + 1 // the tasks before it are known to be good
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
	l.hand = hand{answering: true}
	if l.found && l.publisher != nil { // the publisher reads the found events from the log
		l.publisher.Committed(l.at.Position, nil)
	}
	if len(a.commit.Events) > 0 {
		l.at.Time = a.commit.Events[len(a.commit.Events)-1].RecordedAt
	}
	l.at.Position += int64(len(a.commit.Events))
	if a.writes() || l.unproven {
		l.at.Published, l.at.EventStreamCreated = a.commit.Published, a.commit.EventStreamCreated
	}
	l.at.Cursor = a.commit.Cursor
	l.checkReceipts = l.checkReceipts && a.found > 0
	l.unproven, l.found = false, false
	for i, t := range a.tasks {
		l.intake.leave(t)
		switch {
		case t.read != nil:
			t.read.Done(a.readErrors[i])
			continue
		case a.folding[i]:
			l.folds.add(t, a.results[i])
			continue
		case t.command.Done != nil:
			l.tell(t, &a.results[i])
		}
		t.command.traceOutcome(&a.results[i])
	}
	if l.publisher != nil && len(a.commit.Events) > 0 {
		l.publisher.Committed(l.at.Position, a.commit.Events)
	}
	l.keepAggregates(a)
	l.measure(a)
}

// tell answers a command. Encoding the state for the answer may run the user's code.
func (l *Lane) tell(t task, result *Result) {
	if result.patience = l.Budgets.Silence; result.Instance != nil {
		l.doing.turn(Deciding, t.key(), t.name(), "")
	}
	t.command.Done(*result)
}
