package consumer

import (
	"sync"
	"time"
)

// waiting holds the requests that wait for their partition to have an owner, for the moment of a takeover.
type waiting struct {
	mu       sync.Mutex
	requests map[int][]*request
	count    int
	routing  int // those that were taken and are not anywhere else yet
	closed   bool
}

// maxWaiting bounds the requests that wait at one worker.
const maxWaiting = 20_000

// add lets a request wait that found the partition owned by the given worker, or by nobody.
func (w *waiting) add(c *Consumer, partition int, r *request, owner string) {
	if r.expires.IsZero() {
		r.expires = time.Now().Add(maxWait)
	}
	w.mu.Lock()
	welcome := !w.closed && w.count < maxWaiting && time.Now().Before(r.expires) && r.hops < maxHops
	if welcome {
		w.requests[partition] = append(w.requests[partition], r)
		w.count++
	}
	w.mu.Unlock()
	switch {
	case !welcome:
		c.refuse(r, errNotOwned)
	case c.lanes[partition].Load() != nil || c.roster.Owner(partition) != owner:
		go w.route(c, partition) // an owner came up meanwhile
	}
}

// each removes what waits for a partition, and does something with it.
func (w *waiting) each(partition int, do func(r *request)) {
	w.mu.Lock()
	taken := w.requests[partition]
	delete(w.requests, partition)
	w.count -= len(taken)
	w.routing += len(taken)
	w.mu.Unlock()
	for _, r := range taken {
		do(r)
	}
	w.mu.Lock()
	w.routing -= len(taken)
	w.mu.Unlock()
}

// route tries anew what waits for a partition.
func (w *waiting) route(c *Consumer, partition int) {
	w.each(partition, func(r *request) { c.routeUnless(r, false) })
}

// routeAll tries anew everything that waits.
func (w *waiting) routeAll(c *Consumer) {
	for _, partition := range w.partitions() {
		w.route(c, partition)
	}
}

// close refuses everything that waits, and what comes later, when this worker ends.
func (w *waiting) close(c *Consumer) {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	for _, partition := range w.partitions() {
		w.each(partition, func(r *request) { c.refuse(r, errNotOwned) })
	}
}

// len is how many have not found an owner yet.
func (w *waiting) len() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.count + w.routing
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
