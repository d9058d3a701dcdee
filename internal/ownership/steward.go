package ownership

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/maestro-es/maestro/internal/lane"
	"github.com/maestro-es/maestro/internal/membership"
	"github.com/maestro-es/maestro/store"
)

const (
	// maxMoves is how many partitions are handed over at a time. It is small so that each partition
	// is without an owner only briefly.
	maxMoves = 4
	// maxAcquisitions is how many partitions are acquired at a time.
	maxAcquisitions = 8
	// flushTimeout bounds how long a moving partition waits for its events to be published.
	// lastFlushTimeout is the bound if no other worker is there to publish the rest.
	flushTimeout     = 20 * time.Millisecond
	lastFlushTimeout = 5 * time.Second
	// lostPause is how long this worker leaves a partition alone after another worker took it and
	// nobody has announced the new epoch. Without the pause, workers that share the store but do
	// not hear each other would take the partition from one another without end.
	lostPause = 2 * time.Second
	// acquireGrace is how long to wait for the store's answer after a partition that is being
	// acquired is not wanted any more.
	acquireGrace = time.Second
	// stewardEvery is how often the steward acts without a signal.
	stewardEvery = 50 * time.Millisecond
)

// steward acquires and hands over partitions until this worker owns the partitions assigned to it.
type steward struct {
	*Ownership
	requests  Requests
	duties    []Duty // of the owner of a partition
	held      map[int]*holding
	ended     chan *holding
	acquiring chan struct{}
	lost      map[int]loss // partitions that another worker took
}

// holding is a partition that this worker owns or is about to.
type holding struct {
	partition int
	stop      context.CancelCauseFunc
	stopping  bool
	epoch     int64     // 0 if it was not acquired; epoch and err are set before the holding is sent to ended
	err       error     // why it ended; nil if it was told to end
	since     time.Time // when it began to stop
}

// loss is when this worker lost a partition, and the epoch that it had.
type loss struct {
	at    time.Time
	epoch int64
}

func newSteward(o *Ownership, requests Requests, duties []Duty) *steward {
	s := &steward{Ownership: o, requests: requests, held: map[int]*holding{}, ended: make(chan *holding),
		acquiring: make(chan struct{}, maxAcquisitions), lost: map[int]loss{}}
	s.duties = slices.Concat(duties, []Duty{handling{o}, publishing{o}})
	return s
}

// run works until ctx ends, and then until everything is handed over.
func (s *steward) run(ctx context.Context) {
	working, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	tick := time.NewTicker(stewardEvery)
	defer tick.Stop()
	done, leaving := ctx.Done(), false
	for !leaving || len(s.held) > 0 {
		s.reconcile(working, leaving)
		select {
		case <-done:
			done, leaving = nil, true
			s.Roster.Leave()
			if !s.Others() {
				s.requests.StopServing()
			}
		case h := <-s.ended:
			s.left(h)
		case partition := <-s.regressed:
			if h := s.held[partition]; h != nil && !h.stopping {
				h.stop(store.ErrRegressed)
			}
		case <-s.Roster.Changed():
			s.requests.Review(time.Now())
		case now := <-tick.C:
			s.requests.Review(now)
		}
	}
}

// left handles the end of the work on a partition.
func (s *steward) left(h *holding) {
	delete(s.held, h.partition)
	switch {
	case h.err == nil || errors.Is(h.err, context.Canceled):
		if h.stopping {
			s.Lane.Metrics.HandedOver(time.Since(h.since))
		}
		return
	case errors.Is(h.err, store.ErrRegressed): // it is acquired again at once
		if !h.stopping {
			s.sayGoneBack("partition", h.partition, "error", h.err)
		}
		return
	case errors.Is(h.err, store.ErrFenced):
		s.Logger.Info("a partition has another owner now", "partition", h.partition, "error", h.err)
	default:
		s.Logger.Error("the work on a partition has failed: it begins anew", "partition", h.partition, "error", h.err)
	}
	s.lost[h.partition] = loss{time.Now(), h.epoch}
}

// reconcile begins to acquire missing partitions and to hand over surplus ones.
func (s *steward) reconcile(ctx context.Context, leaving bool) {
	members := s.Roster.Members()
	owners, assigned := membership.Owners(len(s.Lanes), members), membership.Assign(len(s.Lanes), members)
	able, joining := map[string]bool{"": false}, map[string]bool{}
	for _, m := range members {
		able[m.ID], joining[m.ID] = m.State != membership.Unable, m.State == membership.Joining
	}
	moves := 0
	for _, h := range s.held {
		if h.stopping {
			moves++
		}
	}
	for p := range assigned {
		h, mine := s.held[p], assigned[p] == s.ID && !leaving
		switch {
		case h == nil && mine && !able[owners[p]] && s.mayTake(p):
			s.begin(ctx, p)
		case h == nil || h.stopping:
		case s.Lanes[p].Load() != nil && owners[p] != s.ID: // another worker has a higher epoch
			s.end(h)
		case joining[assigned[p]]: // it stays here until its next owner can take it
		case !mine && (moves < maxMoves || !s.Others()): // with nobody to hand over to, all end at once
			s.end(h)
			moves++
		}
	}
}

// mayTake returns false while an unknown worker may hold the partition: this worker has lost the
// partition, nobody has announced a higher epoch, and lostPause has not passed.
func (s *steward) mayTake(partition int) bool {
	lost, was := s.lost[partition]
	return !was || lost.epoch > 0 && s.Roster.Claimed(partition) > lost.epoch || time.Since(lost.at) > lostPause
}

func (s *steward) end(h *holding) {
	h.stopping, h.since = true, time.Now()
	h.stop(nil)
}

// begin acquires a partition and works on it until end is called or another worker acquires it.
func (s *steward) begin(ctx context.Context, partition int) {
	ctx, stop := context.WithCancelCause(ctx)
	h := &holding{partition: partition, stop: stop}
	s.held[partition] = h
	go func() {
		defer stop(nil)
		h.err = s.own(ctx, h)
		s.ended <- h
	}()
}

// own acquires a partition and performs its duties. It returns nil when ctx has ended and the
// duties have finished.
func (s *steward) own(ctx context.Context, h *holding) error {
	start, partition := time.Now(), h.partition
	at, err := s.acquire(ctx, partition)
	if err != nil {
		return err
	}
	h.epoch = at.Epoch
	// The epoch is announced even if it is released at once, because the former owner learns from
	// this that it has lost the partition. A lane without a claim means that another worker took
	// the partition.
	s.Roster.Claim(partition, at.Epoch)
	defer s.Roster.Release(partition)
	if ctx.Err() != nil { // the partition is not wanted any more
		return nil
	}
	t := &Tenure{At: at, Publisher: s.Publisher(at)}
	t.Lane = lane.New(s.Lane, at, t.Publisher)
	s.tenures[partition].Store(t)
	defer s.tenures[partition].Store(nil)
	s.Lanes[partition].Store(t.Lane)
	s.Lane.Metrics.TookOver(time.Since(start))
	s.owned.Add(1)
	defer s.owned.Add(-1)
	s.requests.Review(time.Now())
	err = perform(ctx, t, s.duties)
	s.see(partition, t.Lane.Stats().Position)
	if errors.Is(context.Cause(ctx), store.ErrRegressed) {
		err = errors.Join(err, store.ErrRegressed)
	}
	return err
}

// flush gives the publisher time to publish the committed events. The next owner publishes the
// rest.
func (o *Ownership) flush(ctx context.Context, t *Tenure) {
	timeout := flushTimeout
	if !o.Others() {
		timeout = lastFlushTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := t.Publisher.Flush(ctx); err != nil {
		o.Logger.Info("some committed events are left to the next owner to publish", "partition", t.At.Number)
	}
}

// acquire makes this worker the partition's owner, however long the store takes to answer. After
// ctx ends it still waits up to acquireGrace for the answer, because after a cancelled call nobody
// knows whether the epoch was raised.
func (s *steward) acquire(ctx context.Context, partition int) (at store.Partition, err error) {
	select {
	case s.acquiring <- struct{}{}:
		defer func() { <-s.acquiring }()
	case <-ctx.Done():
	}
	if ctx.Err() != nil {
		return at, ctx.Err()
	}
	asking, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(acquireGrace, cancel) })()
	return s.acquireAbove(ctx, asking, partition)
}
