package maestro

import (
	"context"
	"errors"
	"sync"
	"time"
)

const (
	// lookEvery is how often a worker finds out whether it is ready, lasting how long it must have
	// been otherwise before that counts.
	lookEvery = 100 * time.Millisecond
	lasting   = 2 * time.Second
)

// readiness is whether a worker is ready, as it tells others. A change counts when it has lasted,
// so that a moment's trouble, and a moment's relief, is not passed on. The first time counts at
// once: a worker that starts has not been in trouble.
type readiness struct {
	mu      sync.Mutex
	was     bool // ready, ever
	reason  error
	changed time.Time // when what is found began to differ, zero if it does not
}

// errStarting is the reason before anything was found.
var errStarting = errors.New("the worker is starting")

// Ready is nil if the worker can do its work: it can commit and publish, and it owns its share of
// the partitions, in which all moves. The error says what is missing. It is known from what was
// found in the last seconds: Ready asks nobody, and does not block.
func (w *Worker) Ready(context.Context) error { return w.readiness.get() }

func (r *readiness) get() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.was && r.reason == nil {
		return errStarting
	}
	return r.reason
}

// errEnded is the reason when Run has returned.
var errEnded = errors.New("the worker has ended")

// end says that the worker does nothing any more.
func (r *readiness) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reason = errEnded
}

// watch finds out how things stand until ctx ends.
func (r *readiness) watch(ctx context.Context, find func(context.Context) error) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		try, cancel := context.WithTimeout(ctx, lasting)
		found := find(try)
		cancel()
		r.note(time.Now(), found)
		select {
		case <-ctx.Done():
			r.end()
			return
		case <-tick.C:
		}
	}
}

// note takes in what was found at a moment.
func (r *readiness) note(now time.Time, found error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	ready := r.was && r.reason == nil
	switch {
	case ready == (found == nil): // as before, perhaps for another reason
		r.changed = time.Time{}
	case r.changed.IsZero() && r.was:
		r.changed = now
		return
	case r.was && now.Sub(r.changed) < lasting:
		return
	}
	r.was = r.was || found == nil
	r.reason, r.changed = found, time.Time{}
}
