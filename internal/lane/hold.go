package lane

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/maestro-es/maestro/store"
)

// hold keeps the tasks of one aggregate waiting, while the partition goes on with others: it cannot
// be loaded in time, or one of its commands fails in doubt.
type hold struct {
	until time.Time
	waits backoff.BackOff
	// trial, if not nil, is that of the command that fails: it is tried alone.
	trial *trial
}

// hold has the tasks of an aggregate wait: at first for the time first, later for up to three times
// as long.
func (l *Lane) hold(key store.Key, first time.Duration, why error) *hold {
	h := l.held[key]
	if h == nil {
		h = &hold{waits: backoff.NewExponentialBackOff(backoff.WithInitialInterval(first), backoff.WithRandomizationFactor(0),
			backoff.WithMaxInterval(3*first), backoff.WithMaxElapsedTime(0))}
		l.held[key] = h
		l.Logger.Log(context.Background(), l.complained.Level(slog.LevelWarn), "commands of an aggregate wait, others go on",
			"partition", l.at.Number, "aggregate", key.Type, "id", key.ID, "error", why)
	}
	h.until = time.Now().Add(h.waits.NextBackOff())
	return h
}

// suspect has the first task of a hold be tried alone.
func (h *hold) suspect() {
	if h.trial == nil {
		h.trial = &trial{}
	}
}

// release ends a hold.
func (l *Lane) release(key store.Key) { delete(l.held, key) }

// untilRetry is the time to the end of the first hold, or until memory that was lent may be wanted
// back; never without either.
func (l *Lane) untilRetry() (retry <-chan time.Time, stop func()) {
	var first time.Time
	if l.borrows() {
		first = time.Now().Add(time.Second)
	}
	for _, h := range l.held {
		if first.IsZero() || h.until.Before(first) {
			first = h.until
		}
	}
	if first.IsZero() {
		return nil, func() {}
	}
	timer := time.NewTimer(time.Until(first))
	return timer.C, func() { timer.Stop() }
}

// dueAlone returns a command that is to be tried alone now. Holds of another kind end where it is
// time.
func (l *Lane) dueAlone(now time.Time) (alone task, due bool) {
	for key, h := range l.held {
		switch {
		case now.Before(h.until):
		case h.trial == nil:
			l.release(key)
		default:
			if alone, due = l.pending.takeFirst(key); due {
				return alone, true
			}
			l.release(key)
		}
	}
	return task{}, false
}

// takeFirst takes the task of an aggregate whose turn is next: what is first in the backlog comes
// before requests.
func (p *pending) takeFirst(key store.Key) (first task, some bool) {
	of := func(t task) bool { return t.key() == key }
	if len(p.backlog) > 0 && of(p.backlog[0]) {
		first, p.backlog = p.backlog[0], p.backlog[1:]
		return first, true
	}
	i := slices.IndexFunc(p.requests, of)
	if i < 0 {
		return task{}, false
	}
	first = p.requests[i]
	p.requests = slices.Delete(p.requests, i, i+1)
	return first, true
}
