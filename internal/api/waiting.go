package api

import (
	"sync"
	"time"

	"github.com/maestro-es/maestro/internal/lane"
)

// waiting holds the requests whose partition has no owner for the moment, as during a takeover.
type waiting struct {
	mu       sync.Mutex
	requests map[int][]*request
	count    int
	routing  int // requests taken from here that have not arrived elsewhere yet
	rerouted int64
	closed   bool
	held     *lane.Holder // the bytes of the requests
}

// maxWaiting bounds the requests that wait at one worker. firstRest and lastRest bound the pause
// before a request is sent again to an owner that did not take it.
const (
	maxWaiting = 20_000
	firstRest  = 50 * time.Millisecond
	lastRest   = time.Second
)

// view is what this worker knows of a partition's owner at a moment. A request that could not be
// routed by one view waits until the view changes.
type view struct {
	owner string     // "" if nobody is known to own it
	epoch int64      // the highest that anybody has claimed
	lane  *lane.Lane // nil if this worker has none
}

func (a *API) view(partition int) view {
	epoch := a.Roster.Claimed(partition) // read first, so that an owner that comes meanwhile counts as a change
	return view{owner: a.Roster.Owner(partition), epoch: epoch, lane: a.Lanes[partition].Load()}
}

// leads tells whether a request that could not be routed by the view before may be routed by v.
func (v view) leads(before view) bool {
	return v.lane != nil && v.lane != before.lane || v.owner != "" && (v.owner != before.owner || v.epoch != before.epoch)
}

// add parks a request that could not be routed by the view by. If the view has changed since, the
// request is routed at once. If by has another worker as owner, that owner may still take the
// request, so it is tried again after a rest. add refuses a request that has expired, was forwarded
// too often or finds no room.
func (w *waiting) add(a *API, partition int, r *request, by view) {
	now := time.Now()
	if r.expires.IsZero() {
		r.expires = now.Add(maxWait)
	}
	r.by, r.again = by, time.Time{}
	if by.owner != "" && by.owner != a.ID {
		r.again = now.Add(min(firstRest<<r.rests, lastRest))
		r.rests++
	}
	w.mu.Lock()
	welcome := !w.closed && w.count < maxWaiting && now.Before(r.expires) && r.hops < maxHops && w.held.Try(r.weight())
	if welcome {
		w.requests[partition] = append(w.requests[partition], r)
		w.count++
	}
	w.mu.Unlock()
	switch {
	case !welcome:
		a.refuse(r, errNotOwned)
	case a.view(partition).leads(by): // an owner came up meanwhile
		go w.review(a, now)
	}
}

// review routes the requests whose partition has another owner, and the requests that have rested.
// It refuses requests that have waited too long.
func (w *waiting) review(a *API, now time.Time) {
	for _, partition := range w.partitions() {
		at := a.view(partition)
		w.take(partition, func(r *request) bool {
			return at.leads(r.by) || !r.again.IsZero() && !now.Before(r.again) || !now.Before(r.expires)
		}, func(r *request) {
			if now.Before(r.expires) {
				a.routeUnless(r, false)
			} else {
				a.refuse(r, errNotOwned)
			}
		})
	}
}

// take removes the chosen requests of a partition and calls do with each.
func (w *waiting) take(partition int, chosen func(r *request) bool, do func(r *request)) {
	w.mu.Lock()
	var taken, left []*request
	for _, r := range w.requests[partition] {
		if chosen(r) {
			taken = append(taken, r)
		} else {
			left = append(left, r)
		}
	}
	if w.requests[partition] = left; len(left) == 0 {
		delete(w.requests, partition)
	}
	w.count -= len(taken)
	w.routing += len(taken)
	w.rerouted += int64(len(taken))
	w.mu.Unlock()
	for _, r := range taken {
		w.held.Give(r.weight())
		do(r)
	}
	w.mu.Lock()
	w.routing -= len(taken)
	w.mu.Unlock()
}

// close refuses all waiting requests, and all that come later. It is called when this worker ends.
func (w *waiting) close(a *API) {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	for _, partition := range w.partitions() {
		w.take(partition, func(*request) bool { return true }, func(r *request) { a.refuse(r, errNotOwned) })
	}
}

// len returns how many requests have not found an owner yet.
func (w *waiting) len() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.count + w.routing
}

// moved returns how often a request has left waiting so far.
func (w *waiting) moved() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.rerouted
}

func (w *waiting) partitions() []int {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := make([]int, 0, len(w.requests))
	for p := range w.requests {
		all = append(all, p)
	}
	return all
}
