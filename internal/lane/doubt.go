package lane

import (
	"errors"
	"fmt"
	"time"

	"github.com/maestro-es/maestro/store"
)

// The cause of some failures is unclear. A commit with projections may take too long, be cancelled
// or lose its connection because of the projections, or because of Postgres and the way to
// Postgres. Such a failure is in doubt. The commands of its batch are tried in smaller parts, down
// to a single command. That command is held while others go on, and is tried alone. If it fails
// although Postgres is healthy right before and after each try, it is given up.

// doubt is a failure in doubt.
type doubt struct {
	err     error
	fault   *store.Fault
	verdict store.Verdict
	// projection is the projection that ran, and task the task that it ran for. They are "" and
	// severalTasks if that is unknown; then the commit may or may not have been made.
	projection string
	task       int
	took       time.Duration // how long the attempt took
}

// doubtOf returns the failure of an attempt as a doubt, or nil if its cause is clear.
func (l *Lane) doubtOf(err error) *doubt {
	fault, is := errors.AsType[*store.Fault](err)
	if !is || !l.projected {
		return nil
	}
	d := &doubt{err: err, fault: fault, verdict: verdictOf(err), task: severalTasks, took: time.Since(l.began)}
	if of, named := errors.AsType[*projectionError](err); named {
		d.projection, d.task = of.projection, of.task
	}
	if d.verdict == store.Slow || fault.Condition == store.Lost || d.verdict == store.Evict && fault.Origin == store.UserSQL {
		return d
	}
	return nil
}

// isSlow tells whether a projection was too slow or was cancelled, and its transaction was
// therefore rolled back. The outcome of the commit is then known, so the lane need not read the log
// or wait.
func (d *doubt) isSlow() bool { return d.projection != "" && d.verdict == store.Slow }

// narrow makes the next batch smaller after a failure in doubt. A command that fails alone is held
// while others go on.
func (l *Lane) narrow(d *doubt, tasks []task) {
	switch {
	case d.task > 0 && d.fault.Condition == store.Expired:
		l.window = max(1, d.task/2) // the tasks before it are in time, and half of them take little time
	case d.task > 0:
		l.window = d.task
	case d.task == severalTasks && len(tasks) > 1:
		l.window = len(tasks) / 2
	default:
		wait := l.Budgets.Turn / 4
		if d.took > l.Budgets.Turn {
			wait = l.Budgets.Projections // so that others have as much of the lane's time as these tries
		}
		l.hold(tasks[0].key(), wait, d.err).suspect()
	}
}

// why says why a command is given up, and what to do about it.
func (d *doubt) why(most time.Duration) string {
	switch {
	case d.fault.Condition == store.Expired:
		return fmt.Sprintf("%s took longer than %s for this command alone, while Postgres was quick", d.who(), most)
	case d.fault.Condition == store.Lost:
		return fmt.Sprintf("the connection to Postgres ended each time in its commit with %s, and Postgres was well before and after: "+
			"a projection must not close its connection or end its session; a context with a time-out of its own closes the connection too "+
			"(set local statement_timeout does not): %s", d.who(), d.err)
	case isCanceled(d.fault.Err):
		return fmt.Sprintf("SQL of %s was cancelled each time, while Postgres was quick: by a statement_timeout, or by somebody who "+
			"always does: let it do less, or give it more time with set local statement_timeout: %s", d.who(), d.err)
	case d.verdict == store.Evict:
		return fmt.Sprintf("the session had lost its prepared statements each time after %s: a projection must neither deallocate "+
			"nor prepare: %s", d.who(), d.err)
	}
	return fmt.Sprintf("SQL of %s raised each time what asks for another try: %s", d.who(), d.err)
}

func (d *doubt) who() string {
	if d.projection == "" {
		return "projections"
	}
	return fmt.Sprintf("projection %q", d.projection)
}
