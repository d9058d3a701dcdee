package lane

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
)

// ErrStopped is the error of a task that a stopping lane did not come to.
var ErrStopped = errors.New("the partition's owner is stopping")

// ErrBusy says that the lane's queue is full, or that requests for one aggregate fill half of it.
var ErrBusy = errors.New("the partition's queue is full")

// ErrFull says that the worker holds as many bytes of requests as it may. It wraps [ErrBusy].
var ErrFull = fmt.Errorf("%w: the worker holds as many bytes as it may", ErrBusy)

// intake is where tasks wait for a lane. Requests and reads share one queue. The durable commands
// of the backlog have another. So neither kind keeps the other out.
type intake struct {
	requests, backlog chan task
	// shares counts the unfinished requests.
	shares *shares
	seed   maphash.Seed
	most   int32 // requests of one aggregate
	// held are the parts of the worker's budget that requests and backlog hold. mostBytes is the
	// most that requests of one aggregate may hold; 0 for no limit.
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

// holder returns the holder of a task's bytes.
func (i *intake) holder(t task) *Holder { return i.held[odd(t.durable())] }

// queue returns the queue that a task belongs to.
func (i *intake) queue(t task) chan task {
	if t.durable() {
		return i.backlog
	}
	return i.requests
}

// count adds n requests to the share of the request's aggregate. It tells whether the share is
// still within the limits on requests and bytes. Durable commands do not count.
func (i *intake) count(t task, n int32) bool {
	if t.durable() {
		return true
	}
	share := &i.shares[maphash.String(i.seed, t.key().ID)&255]
	requests, bytes := share.requests.Add(n), share.bytes.Add(int64(n)*t.weight())
	return requests <= i.most && (i.mostBytes == 0 || bytes <= i.mostBytes || requests == 1)
}

// leave gives back the task's share and bytes.
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

// Offer queues a command. If the queue is full, it returns ErrBusy.
func (l *Lane) Offer(c *Command) error { return l.offer(task{command: c}) }

// OfferRead queues a read. If the queue is full, it returns ErrBusy.
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

// noRoom turns away a task that was counted but got no bytes.
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

// queued makes sure that the task just queued is answered. Run answers it, or the caller does if
// Run has ended meanwhile.
func (l *Lane) queued() error {
	select {
	case <-l.done:
		l.refuseRest()
	default:
	}
	return nil
}
