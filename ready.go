package maestro

import (
	"context"
	"errors"
	"sync"
	"time"
)

const (
	// lookEvery is how often a worker finds out whether it is ready. lasting is how long a change
	// must last before it counts.
	lookEvery = 100 * time.Millisecond
	lasting   = 2 * time.Second
)

// readiness is whether a worker is ready, as others see it. A change counts only when it has
// lasted, so that brief trouble or brief relief is not reported. The first time that the worker is
// found ready counts at once, because a starting worker has not been in trouble.
type readiness struct {
	mu      sync.Mutex
	was     bool // whether it has ever been ready
	reason  error
	changed time.Time // when the found state began to differ from the reported one; zero if it does not
}

// errStarting is the reason until the first look.
var errStarting = errors.New("the worker is starting")

// Ready returns nil if the worker can do its work: it can commit and publish, it owns its share of
// the partitions, and work moves in all of them. The error says what is missing. Ready reports the
// state found in the last seconds. It asks no server and does not block.
func (w *Worker) Ready(context.Context) error { return w.readiness.get() }

func (r *readiness) get() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.was && r.reason == nil {
		return errStarting
	}
	return r.reason
}

// errEnded is the reason after Run has returned.
var errEnded = errors.New("the worker has ended")

// end notes that the worker has ended.
func (r *readiness) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reason = errEnded
}

// watch calls find and notes the result, again and again until ctx ends.
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

// note takes in the result of one look.
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
