package lane

import (
	"context"
	"log/slog"
	"time"

	"github.com/maestro-es/maestro/protocol"
)

// trial is what is known of a command that fails in doubt, even alone. It is given up only where
// nothing else can be the reason. Postgres must be quick right before and after a try, as a commit
// without anything in it shows.
type trial struct {
	counted int       // tries with a quick Postgres before and after
	first   time.Time // of them
	slow    bool      // Postgres was slow before or after another try
}

// enoughTries is how often a command is tried with a quick Postgres before it is given up.
const enoughTries = 3

// trials is what the trials of a lane have in common.
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

// control makes a commit without anything in it, and tells whether that was quick. There is another
// before it, which waits for a new connection, or for Postgres to end what was cut short.
func (l *Lane) control(ctx context.Context) (quick bool, err error) {
	l.tried, l.projected = nil, false // what fails here is not theirs
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

// count notes a try, and tells whether there were enough.
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

// mayGiveUp tells whether the time allows to give a command up that was tried often enough.
func (l *Lane) mayGiveUp(t *trial) bool {
	now, b := time.Now(), l.Budgets
	if t.slow && now.Sub(t.first) < b.Spread {
		return false
	}
	return now.Sub(l.trials.slow) > b.Recent || now.Sub(l.trials.given) > b.Rarely
}

// giveUp has the command get an outcome that says so.
func (l *Lane) giveUp(t task, trial *trial, d *doubt) {
	l.trials.given = time.Now()
	t.command.Refusal = Fail(protocol.CodeGaveUp, "given up after %d tries: %s", trial.counted, d.why(l.Budgets.Projections))
	t.command.Refusal.Err = d.err
	l.Logger.Log(context.Background(), slog.LevelError, "a command was given up", "partition", l.at.Number, "aggregate", t.command.Key.Type,
		"id", t.command.Key.ID, "command", t.command.Name, "command_id", t.command.ID, "projection", d.projection, "error", d.err)
	l.release(t.key())
}
