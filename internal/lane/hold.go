package lane

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/maestro-es/maestro/store"
)

// hold keeps the tasks of one aggregate waiting while the partition goes on with others. The reason
// is that the aggregate cannot be loaded in time, or that one of its commands fails in doubt.
type hold struct {
	until time.Time
	waits backoff.BackOff
	// trial, if not nil, is the trial of the failing command, which is tried alone.
	trial *trial
}

// hold makes the tasks of an aggregate wait: first for the time first, later for up to three times
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

// suspect makes the lane try the first task of the hold alone.
func (h *hold) suspect() {
	if h.trial == nil {
		h.trial = &trial{}
	}
}

// release ends a hold.
func (l *Lane) release(key store.Key) { delete(l.held, key) }

// untilRetry fires when the first hold ends, or after a second if the lane borrows memory that
// others may want back. Otherwise it never fires.
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

// dueAlone returns a command that is to be tried alone now. It releases expired holds that have no
// trial or no waiting task.
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

// takeFirst takes the next task of an aggregate: the first of the backlog if it belongs to the
// aggregate, otherwise the aggregate's first request.
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
