package lane

import (
	"errors"
	"fmt"
	"time"

	"github.com/maestro-es/maestro/store"
)

// Some failures leave it open whose fault they are. A commit with projections may take too long, be
// cancelled or lose its connection because of what the projections do, or because of Postgres and
// the way to it. Such a failure is in doubt. The commands of its batch are tried in smaller parts,
// down to one. That one is held while others go on, and is tried alone: where Postgres is well
// right before and after each try, it is given up.

// doubt is a failure in doubt.
type doubt struct {
	err     error
	fault   *store.Fault
	verdict store.Verdict
	// projection is whose turn it was and task for which of the tasks; "" and severalTasks where
	// that is not known. What became of the commit is not known either then.
	projection string
	task       int
	took       time.Duration // the attempt
}

// doubtOf is the failure of an attempt as one in doubt, nil if it is none.
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

// isSlow tells whether a projection was too slow or was cancelled, and the transaction was rolled
// back for that. There is nothing to find out then, and nothing to wait for.
func (d *doubt) isSlow() bool { return d.projection != "" && d.verdict == store.Slow }

// narrow makes the next batch smaller after a failure in doubt. What fails so alone is held, while
// others go on.
func (l *Lane) narrow(d *doubt, tasks []task) {
	switch {
	case d.task > 0 && d.fault.Condition == store.Expired:
		l.window = max(1, d.task/2) // what comes before it is in time, and half of that is soon done
	case d.task > 0:
		l.window = d.task
	case d.task == severalTasks && len(tasks) > 1:
		l.window = len(tasks) / 2
	default:
		wait := l.Budgets.Turn / 4
		if d.took > l.Budgets.Turn {
			wait = l.Budgets.Projections // others have as much of the lane as its tries
		}
		l.hold(tasks[0].key(), wait, d.err).suspect()
	}
}

// why says what a command is given up for, and what to do about it.
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
