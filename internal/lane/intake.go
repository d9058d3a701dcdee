package lane

import (
	"context"
	"errors"
	"hash/maphash"
	"sync/atomic"

	"github.com/maestro-es/maestro/store"
)

// ErrStopped is what a task gets that a stopping lane did not come to.
var ErrStopped = errors.New("the partition's owner is stopping")

// ErrBusy says that the lane's queue is full, or that tasks of one aggregate fill their half of it.
var ErrBusy = errors.New("the partition's queue is full")

// intake is where tasks wait for a lane. Requests and reads have a queue, and the durable commands of the backlog have another, so that
// neither keeps the other out.
type intake struct {
	requests, backlog chan task
	// shares count the requests that are not done with by a hash of their aggregate.
	shares *[256]atomic.Int32
	seed   maphash.Seed
	most   int32 // requests of one aggregate
}

func newIntake(maxBatch int) intake {
	room := 4 * maxBatch
	return intake{requests: make(chan task, room), backlog: make(chan task, room), shares: new([256]atomic.Int32),
		seed: maphash.MakeSeed(), most: int32(max(1, room/2))}
}

func (i *intake) share(key store.Key) *atomic.Int32 {
	return &i.shares[maphash.String(i.seed, key.ID)&255]
}

// queue is the one that a task belongs to.
func (i *intake) queue(t task) chan task {
	if t.durable() {
		return i.backlog
	}
	return i.requests
}

// enter counts a request, and tells whether its aggregate has no more than its half of the queue.
func (i *intake) enter(t task) bool { return t.durable() || i.share(t.key()).Add(1) <= i.most }

// leave takes back what enter counted.
func (i *intake) leave(t task) {
	if !t.durable() {
		i.share(t.key()).Add(-1)
	}
}

func (i *intake) len() int { return len(i.requests) + len(i.backlog) }

// Submit queues a command and waits while the queue is full.
func (l *Lane) Submit(ctx context.Context, c *Command) error { return l.submit(ctx, task{command: c}) }

// SubmitRead queues a read and waits while the queue is full.
func (l *Lane) SubmitRead(ctx context.Context, r *Read) error { return l.submit(ctx, task{read: r}) }

func (l *Lane) submit(ctx context.Context, t task) error {
	t.arrive()
	l.intake.enter(t)
	select {
	case l.intake.queue(t) <- t:
		return l.queued()
	case <-l.done:
		return l.turnAway(t, ErrStopped)
	case <-ctx.Done():
		return l.turnAway(t, ctx.Err())
	}
}

// Offer queues a command unless the queue is full, which it says with ErrBusy.
func (l *Lane) Offer(c *Command) error { return l.offer(task{command: c}) }

// OfferRead queues a read unless the queue is full, which it says with ErrBusy.
func (l *Lane) OfferRead(r *Read) error { return l.offer(task{read: r}) }

func (l *Lane) offer(t task) error {
	t.arrive()
	if !l.intake.enter(t) {
		return l.turnAway(t, ErrBusy)
	}
	select {
	case l.intake.queue(t) <- t:
		return l.queued()
	case <-l.done:
		return l.turnAway(t, ErrStopped)
	default:
		return l.turnAway(t, ErrBusy)
	}
}

func (l *Lane) turnAway(t task, why error) error {
	l.intake.leave(t)
	t.traceAbandoned()
	return why
}

// queued makes sure that somebody answers what was just queued: Run, or the caller if Run has ended meanwhile.
func (l *Lane) queued() error {
	select {
	case <-l.done:
		l.refuseRest()
	default:
	}
	return nil
}
