package lane

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
)

// ErrStopped is what a task gets that a stopping lane did not come to.
var ErrStopped = errors.New("the partition's owner is stopping")

// ErrBusy says that the lane's queue is full, or that tasks of one aggregate fill their half of it.
var ErrBusy = errors.New("the partition's queue is full")

// ErrFull says that the worker holds as many bytes of requests as it may. It is an [ErrBusy].
var ErrFull = fmt.Errorf("%w: the worker holds as many bytes as it may", ErrBusy)

// intake is where tasks wait for a lane. Requests and reads have a queue, and the durable commands
// of the backlog have another, so that neither keeps the other out.
type intake struct {
	requests, backlog chan task
	// shares count the requests that are not done with.
	shares *shares
	seed   maphash.Seed
	most   int32 // requests of one aggregate
	// held is what requests and backlog hold of the worker's budget, and mostBytes what requests of
	// one aggregate may; 0 for no limit.
	held      [2]*Holder
	mostBytes int64
}

func newIntake(maxBatch int, budget *Budget) intake {
	room := 4 * maxBatch
	return intake{requests: make(chan task, room), backlog: make(chan task, room), shares: new(shares),
		seed: maphash.MakeSeed(), most: int32(max(1, room/2)),
		held: [2]*Holder{budget.Holder(), budget.Holder()}, mostBytes: budget.part(4)}
}

// close gives up the lane's part of the budget.
func (i *intake) close() {
	for _, h := range i.held {
		h.Close()
	}
}

// holder is who holds a task's bytes.
func (i *intake) holder(t task) *Holder { return i.held[odd(t.durable())] }

// queue is the one that a task belongs to.
func (i *intake) queue(t task) chan task {
	if t.durable() {
		return i.backlog
	}
	return i.requests
}

// count adds to what the aggregate of a request has, and tells whether that is no more than its
// part of the queue and of the bytes.
func (i *intake) count(t task, n int32) bool {
	if t.durable() {
		return true
	}
	share := &i.shares[maphash.String(i.seed, t.key().ID)&255]
	requests, bytes := share.requests.Add(n), share.bytes.Add(int64(n)*t.weight())
	return requests <= i.most && (i.mostBytes == 0 || bytes <= i.mostBytes || requests == 1)
}

// leave takes back what a task took when it came.
func (i *intake) leave(t task) {
	i.count(t, -1)
	i.holder(t).Give(t.weight())
}

func (i *intake) len() int { return len(i.requests) + len(i.backlog) }

// Submit queues a command and waits while the queue is full.
func (l *Lane) Submit(ctx context.Context, c *Command) error { return l.submit(ctx, task{command: c}) }

// SubmitRead queues a read and waits while the queue is full.
func (l *Lane) SubmitRead(ctx context.Context, r *Read) error { return l.submit(ctx, task{read: r}) }

func (l *Lane) submit(ctx context.Context, t task) error {
	t.arrive()
	l.intake.count(t, 1)
	if !l.intake.holder(t).Take(ctx, l.done, t.weight()) {
		return l.noRoom(t, cmp.Or(ctx.Err(), ErrStopped))
	}
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
	if !l.intake.count(t, 1) {
		return l.noRoom(t, ErrBusy)
	}
	if !l.intake.holder(t).Try(t.weight()) {
		return l.noRoom(t, ErrFull)
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

// noRoom is for a task that was counted, and has no room.
func (l *Lane) noRoom(t task, why error) error {
	l.intake.count(t, -1)
	t.traceAbandoned()
	return why
}

func (l *Lane) turnAway(t task, why error) error {
	l.intake.leave(t)
	t.traceAbandoned()
	return why
}

// queued makes sure that somebody answers what was just queued: Run, or the caller if Run has ended
// meanwhile.
func (l *Lane) queued() error {
	select {
	case <-l.done:
		l.refuseRest()
	default:
	}
	return nil
}
