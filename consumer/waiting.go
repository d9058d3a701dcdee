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

// take removes and returns what waits for a partition.
func (w *waiting) take(partition int) []*request {
	w.mu.Lock()
	defer w.mu.Unlock()
	taken := w.requests[partition]
	delete(w.requests, partition)
	w.count -= len(taken)
	return taken
}

// route tries anew what waits for a partition.
func (w *waiting) route(c *Consumer, partition int) {
	for _, r := range w.take(partition) {
		c.routeUnless(r, false)
	}
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
		for _, r := range w.take(partition) {
			c.refuse(r, errNotOwned)
		}
	}
}

func (w *waiting) len() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.count
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
