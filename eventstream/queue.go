package eventstream

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/maestro-es/maestro/store"
)

// maxQueueBytes bounds the events that wait in memory. If there are more, they are read from the
// log when their turn comes.
const maxQueueBytes = 16 << 20

// eventOverhead is about what an event takes in memory besides its body.
const eventOverhead = 256

// queue is the state that a publisher shares with the lane: how far the log has come, and the
// events that need not be read from the log.
type queue struct {
	mu        sync.Mutex
	committed int64         // position of the log
	proven    int64         // position up to which an acknowledged commit has shown that the log is lasting
	published int64         // position of the stream
	noticed   int64         // position of the log when it was last noticed
	stream    time.Time     // creation time of the stream that published is about
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
		q.events = slices.Clip(events) // no copy, because most batches find an empty queue
	} else {
		q.events = append(q.events, events...)
	}
	if q.bytes > maxQueueBytes {
		q.drop()
	}
	q.alarm()
}

// see raises the position of the log to the one that was found there. Nothing has proved yet that
// the log is lasting up to it.
func (q *queue) see(position int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if position > q.committed {
		q.committed = position
		q.drop()
		q.alarm()
	}
}

// prove notes that the log is lasting up to a position. lasting tells whether that is known of a
// position.
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

// notice is called now and then with the position of the log. If the log was already beyond the
// added events at the call before, somebody else has written the events in between.
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

// alarm wakes the caller of take. The lock is held.
func (q *queue) alarm() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (q *queue) drop() { q.events, q.bytes = nil, 0 }

// errLost says that the stream may have lost something.
var errLost = errors.New("the event stream may have lost events")

// take waits for something to publish. If the next events are in memory, it removes and returns
// them. They are not put back; if publishing fails, they are read from the log. If the next events
// are not in memory, take returns the position above which to read the log. It returns errLost
// when lost is closed.
func (q *queue) take(ctx context.Context, lost <-chan struct{}) (events []store.Event, above int64, err error) {
	for {
		q.mu.Lock()
		above = q.published
		if len(q.events) > 0 && q.events[0].Position <= above { // these are in the stream already
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

// unit returns how many of the events are published together.
func unit(events []store.Event) int {
	bytes := 0
	for n := range events {
		if bytes += len(events[n].Body) + eventOverhead; n == maxUnit || n > 0 && bytes > maxUnitBytes {
			return n
		}
	}
	return len(events)
}

// shift removes and returns the first n events. The lock is held.
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

// mark notes how far the stream has come.
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
