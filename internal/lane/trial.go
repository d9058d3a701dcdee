package lane

import (
	"context"
	"log/slog"
	"time"

	"github.com/maestro-es/maestro/protocol"
)

// trial records the tries of a command that fails in doubt even when it runs alone. The command is
// given up only if nothing else can be the reason. So a try counts only if an empty commit is quick
// right before and right after it.
type trial struct {
	counted int       // tries with a quick Postgres before and after
	first   time.Time // when the first of them was
	slow    bool      // Postgres was slow before or after another try
}

// enoughTries is how many counted tries a command gets before it is given up.
const enoughTries = 3

// trials is the state that all trials of a lane share.
type trials struct {
	slow  time.Time // when Postgres was last seen to be slow
	given time.Time // when a command was last given up
}

// tryAlone tries a command that has a trial.
func (l *Lane) tryAlone(ctx context.Context, t task, h *hold) (rest []task, err error) {
	before, err := l.control(ctx)
	if err != nil {
		return nil, err
	}
	rest, err = l.try(ctx, []task{t})
	if err == nil {
		l.release(t.key())
		return rest, nil
	}
	d := l.doubtOf(err)
	if d == nil {
		return nil, err
	}
	if !d.isSlow() {
		if failed := l.recover(ctx, 0, newBackoff()); failed != nil {
			return nil, failed
		}
	}
	after, failed := l.control(ctx)
	if failed != nil {
		return nil, failed
	}
	if h.trial.count(time.Now(), before && after) && l.mayGiveUp(h.trial) {
		l.giveUp(t, h.trial, d)
		return []task{t}, nil
	}
	l.tried, l.projected = []task{t}, true
	return nil, err
}

// control makes an empty commit and tells whether it was quick. Another empty commit comes first
// and is not timed, because it may wait for a new connection, or for Postgres to end an interrupted
// transaction.
func (l *Lane) control(ctx context.Context) (quick bool, err error) {
	l.tried, l.projected = nil, false // a failure here is not the fault of any task
	if _, err = l.controlOnce(ctx); err != nil {
		return false, err
	}
	took, err := l.controlOnce(ctx)
	if quick = err == nil && took < l.Budgets.quick(); !quick {
		l.trials.slow = time.Now()
	}
	return quick, err
}

func (l *Lane) controlOnce(ctx context.Context) (took time.Duration, err error) {
	l.doing.begin(Committing)
	ctx, cancel := context.WithTimeout(ctx, l.Budgets.Attempt)
	defer cancel()
	start := time.Now()
	err = l.Store.Commit(ctx, l.newCommit())
	return time.Since(start), err
}

// count records a try, and tells whether the counted tries are enough.
func (t *trial) count(now time.Time, quick bool) bool {
	if !quick {
		t.slow = true
		return false
	}
	if t.counted++; t.counted == 1 {
		t.first = now
	}
	return t.counted >= enoughTries
}

// mayGiveUp tells whether Spread, Recent and Rarely allow giving up a command that was tried often
// enough.
func (l *Lane) mayGiveUp(t *trial) bool {
	now, b := time.Now(), l.Budgets
	if t.slow && now.Sub(t.first) < b.Spread {
		return false
	}
	return now.Sub(l.trials.slow) > b.Recent || now.Sub(l.trials.given) > b.Rarely
}

// giveUp refuses the command with the code gave up, and releases its hold.
func (l *Lane) giveUp(t task, trial *trial, d *doubt) {
	l.trials.given = time.Now()
	t.command.Refusal = Fail(protocol.CodeGaveUp, "given up after %d tries: %s", trial.counted, d.why(l.Budgets.Projections))
	t.command.Refusal.Err = d.err
	l.Logger.Log(context.Background(), slog.LevelError, "a command was given up", "partition", l.at.Number, "aggregate", t.command.Key.Type,
		"id", t.command.Key.ID, "command", t.command.Name, "command_id", t.command.ID, "projection", d.projection, "error", d.err)
	l.release(t.key())
}
