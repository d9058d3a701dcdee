package eventstream

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/maestro-es/maestro/store"
)

// maxQueueBytes bounds the events that wait in memory; what is beyond it is read from the log when
// its turn comes.
const maxQueueBytes = 16 << 20

// eventOverhead is about what an event takes beside its body.
const eventOverhead = 256

// queue is what a publisher shares with the lane: how far the log has come, and the events that
// need not be read from it.
type queue struct {
	mu        sync.Mutex
	committed int64         // position of the log
	proven    int64         // position up to which an acknowledged commit has shown that the log is lasting
	published int64         // position of the stream
	noticed   int64         // position of the log when it was last looked at
	stream    time.Time     // which stream that is
	events    []store.Event // positions without a gap, the last of them committed; may begin anywhere above published
	bytes     int
	wake      chan struct{} // there may be something to publish
	moved     chan struct{} // published has moved
}

func (q *queue) add(position int64, events []store.Event) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(events) == 0 || events[0].Position != q.committed+1 {
		q.drop()
	}
	q.committed, q.proven = max(q.committed, position), max(q.proven, position)
	for i := range events {
		q.bytes += len(events[i].Body) + eventOverhead
	}
	if len(q.events) == 0 {
		q.events = slices.Clip(events) // as they are: most find nothing that waits
	} else {
		q.events = append(q.events, events...)
	}
	if q.bytes > maxQueueBytes {
		q.drop()
	}
	q.alarm()
}

// see raises the position of the log to where it was found. Nobody has shown yet that it is
// lasting.
func (q *queue) see(position int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if position > q.committed {
		q.committed = position
		q.drop()
		q.alarm()
	}
}

// prove notes that the log is lasting up to a position, lasting tells whether it is known to be.
func (q *queue) prove(position int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.proven = max(q.proven, position)
}

func (q *queue) lasting(position int64) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return position <= q.proven
}

// notice is told now and then where the log is. What was there the last time already and was never
// added is somebody else's.
func (q *queue) notice(position int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.noticed > q.committed {
		q.committed = q.noticed
		q.drop()
		q.alarm()
	}
	q.noticed = position
}

// alarm wakes whoever takes. The lock is held.
func (q *queue) alarm() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (q *queue) drop() { q.events, q.bytes = nil, 0 }

// errLost says that the stream may have lost something.
var errLost = errors.New("the event stream may have lost events")

// take waits for something to publish and takes it out, if it is in memory: what is then not
// published is found in the log. Otherwise it returns the position above which the log is to be
// read. It gives up when lost is closed.
func (q *queue) take(ctx context.Context, lost <-chan struct{}) (events []store.Event, above int64, err error) {
	for {
		q.mu.Lock()
		above = q.published
		if len(q.events) > 0 && q.events[0].Position <= above { // it was found in the stream
			q.shift(int(min(above-q.events[0].Position+1, int64(len(q.events)))))
		}
		switch {
		case len(q.events) > 0 && q.events[0].Position == above+1:
			events = q.shift(unit(q.events))
			q.mu.Unlock()
			return events, above, nil
		case q.committed > above:
			q.mu.Unlock()
			return nil, above, nil
		}
		q.mu.Unlock()
		select {
		case <-ctx.Done():
			return nil, 0, ctx.Err()
		case <-lost:
			return nil, 0, errLost
		case <-q.wake:
		}
	}
}

// unit is how many of the events go together.
func unit(events []store.Event) int {
	bytes := 0
	for n := range events {
		if bytes += len(events[n].Body) + eventOverhead; n == maxUnit || n > 0 && bytes > maxUnitBytes {
			return n
		}
	}
	return len(events)
}

// shift takes the first n events out. The lock is held.
func (q *queue) shift(n int) (first []store.Event) {
	first = q.events[:n:n]
	for i := range first {
		q.bytes -= len(first[i].Body) + eventOverhead
	}
	if q.events = q.events[n:]; len(q.events) == 0 {
		q.drop()
	}
	return first
}

// mark says how far the stream has come.
func (q *queue) mark(position int64, stream time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.published, q.stream = position, stream
	select {
	case q.moved <- struct{}{}:
	default:
	}
}

func (q *queue) state() (committed, published int64, stream time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.committed, q.published, q.stream
}
