package lane

import (
	"slices"
	"time"
)

// maxBatchBytes ends a batch early: of the bodies of commands, and of what they lead to.
const maxBatchBytes = 4 << 20

// pending is what a lane has taken from its queues and not brought to an end.
type pending struct {
	requests, backlog []task
	last              bool // the last batch began with a request
}

// maxAhead is how many batches of requests a lane looks through for those that it can take.
const maxAhead = 4

// fill takes what waits, as long as there is room.
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

// open are the queues for which there is room.
func (p *pending) open(from *intake) (requests, backlog <-chan task) {
	if len(p.requests) < cap(from.requests) {
		requests = from.requests
	}
	if len(p.backlog) < cap(from.backlog)/maxAhead {
		backlog = from.backlog
	}
	return requests, backlog
}

// putBack has tasks of a batch wait again, before all others.
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

// pick takes the tasks of the next batch, none if there is nothing to do now. Requests and backlog take turns, so that each has half of
// the lane where both wait. What is held is left out; of the backlog, also what comes behind it.
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

// odd is 1 for true.
func odd(is bool) int {
	if is {
		return 1
	}
	return 0
}

// weave has requests and backlog come by turns, as long as there are both, so that wherever a batch is cut both have had their share.
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

// withinBytes is how many tasks make a batch of no more than maxBatchBytes, at least one.
func withinBytes(batch []task) int {
	bytes := 0
	for i, t := range batch {
		if bytes += t.bytes(); bytes > maxBatchBytes && i > 0 {
			return i
		}
	}
	return len(batch)
}

// unheld is how many tasks of the backlog come before the first that is held.
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
