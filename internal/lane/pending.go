package lane

import (
	"slices"
	"time"
)

// maxBatchBytes ends a batch early. It limits the bodies of the commands, and also the bytes that
// they add to the commit.
const maxBatchBytes = 4 << 20

// pending holds the tasks that a lane has taken from its queues and not finished.
type pending struct {
	requests, backlog []task
	last              bool // the last batch began with a request
}

// maxAhead is how many batches of requests a lane searches for requests that it can take.
const maxAhead = 4

// fill takes tasks from the queues while there is room.
func (p *pending) fill(from *intake) {
	p.requests = drain(p.requests, from.requests, cap(from.requests))
	p.backlog = drain(p.backlog, from.backlog, cap(from.backlog)/maxAhead)
}

func drain(into []task, from chan task, most int) []task {
	for len(into) < most {
		select {
		case t := <-from:
			into = append(into, t)
		default:
			return into
		}
	}
	return into
}

// open returns the queues for which there is room; nil for the others.
func (p *pending) open(from *intake) (requests, backlog <-chan task) {
	if len(p.requests) < cap(from.requests) {
		requests = from.requests
	}
	if len(p.backlog) < cap(from.backlog)/maxAhead {
		backlog = from.backlog
	}
	return requests, backlog
}

// putBack makes tasks of a batch wait again, before all others.
func (p *pending) putBack(tasks []task) {
	var requests, backlog []task
	for _, t := range tasks {
		if t.durable() {
			backlog = append(backlog, t)
		} else {
			requests = append(requests, t)
		}
	}
	if len(requests) > 0 {
		p.requests = append(requests, p.requests...)
	}
	if len(backlog) > 0 {
		p.backlog = append(backlog, p.backlog...)
	}
}

// pick returns the tasks of the next batch, or none if there is nothing to do now. Requests and
// backlog alternate, so that each has half of the lane if both wait. Held tasks are left out. If a
// task of the backlog is held, so are all tasks of the backlog behind it.
func (l *Lane) pick(now time.Time) []task {
	p := &l.pending
	p.fill(&l.intake)
	if alone, due := l.dueAlone(now); due {
		return []task{alone}
	}
	room := min(l.window, l.MaxBatch)
	backlog := p.backlog[:min(room, l.unheld(p.backlog))]
	share := room - min(len(backlog), (room+odd(p.last))/2)
	requests := l.pickRequests(share)
	backlog = backlog[:min(len(backlog), room-len(requests))]
	p.last = len(requests) > 0
	l.batch = weave(l.batch[:0], requests, backlog)
	batch := l.batch
	p.backlog = slices.Delete(p.backlog, 0, len(backlog))
	kept := withinBytes(batch)
	p.putBack(batch[kept:])
	return batch[:kept]
}

// odd returns 1 for true and 0 for false.
func odd(is bool) int {
	if is {
		return 1
	}
	return 0
}

// weave alternates requests and backlog while there are both. So both have their share wherever a
// batch is cut.
func weave(batch, requests, backlog []task) []task {
	for i := range max(len(requests), len(backlog)) {
		if i < len(requests) {
			batch = append(batch, requests[i])
		}
		if i < len(backlog) {
			batch = append(batch, backlog[i])
		}
	}
	return batch
}

// withinBytes returns how many tasks fit into maxBatchBytes, at least one.
func withinBytes(batch []task) int {
	bytes := 0
	for i, t := range batch {
		if bytes += t.bytes(); bytes > maxBatchBytes && i > 0 {
			return i
		}
	}
	return len(batch)
}

// unheld returns how many tasks of the backlog come before the first held one.
func (l *Lane) unheld(backlog []task) int {
	if len(l.held) > 0 {
		if i := slices.IndexFunc(backlog, l.isHeld); i >= 0 {
			return i
		}
	}
	return len(backlog)
}

func (l *Lane) isHeld(t task) bool { return l.held[t.key()] != nil }

// pickRequests takes up to n requests in their order, without those that are held.
func (l *Lane) pickRequests(n int) (picked []task) {
	p := &l.pending
	if len(l.held) == 0 {
		n = min(n, len(p.requests))
		picked = slices.Clone(p.requests[:n])
		p.requests = slices.Delete(p.requests, 0, n)
		return picked
	}
	p.requests = slices.DeleteFunc(p.requests, func(t task) bool {
		if len(picked) == n || l.isHeld(t) {
			return false
		}
		picked = append(picked, t)
		return true
	})
	return picked
}
