package membership

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/maestro-es/maestro/internal/wire"
)

// The intervals of a roster.
const (
	// beatEvery is how often a worker sends a heartbeat.
	beatEvery = 100 * time.Millisecond
	// lateAfter is the silence after which a worker is asked directly. deadAfter is the silence
	// after which it counts as dead although the server still knows it, because it is frozen or cut
	// off.
	lateAfter = 2*beatEvery + beatEvery/2
	deadAfter = time.Second
	// pingTimeout is how long a silent worker may take to answer.
	pingTimeout = 300 * time.Millisecond
	// settle is how long a new worker listens before it takes a partition.
	settle = 2 * beatEvery
)

// Roster is a worker's view of the members. Make it with Join; it is safe for concurrent use.
type Roster struct {
	nc         *nats.Conn
	namespace  wire.Namespace
	partitions int
	logger     *slog.Logger

	telling sync.Mutex // keeps the beats in order
	mu      sync.Mutex
	self    Member
	peers   map[string]*peer
	highest map[int]int64 // the highest epoch that anybody has claimed, by partition
	changed chan struct{}
	owners  atomic.Pointer[[]string]
}

type peer struct {
	Member
	seen   time.Time
	asking bool
}

// beat is a worker's heartbeat. A worker that hears a hello answers with its own beat.
type beat struct {
	Member
	Hello bool `json:"hello,omitempty"`
}

// New returns the roster of a worker that is not a member yet; see Join.
func New(nc *nats.Conn, ns wire.Namespace, partitions int, id, node string, logger *slog.Logger) *Roster {
	r := &Roster{nc: nc, namespace: ns, partitions: partitions, logger: logger,
		self:  Member{ID: id, Node: node, State: Joining, Owned: map[int]int64{}},
		peers: map[string]*peer{}, highest: map[int]int64{}, changed: make(chan struct{}, 1)}
	r.refresh()
	return r
}

// Join makes the worker a member, so that others keep a share for it. It returns after the worker
// has had time to hear of the others. When ctx ends, the membership ends, and a goroutine of the
// group tells the others.
func (r *Roster) Join(ctx context.Context, group *sync.WaitGroup) error {
	heard, err := r.nc.Subscribe(r.namespace.Beat(), r.hear)
	if err != nil {
		return fmt.Errorf("listen for other workers: %w", err)
	}
	asked, err := r.nc.Subscribe(r.namespace.Worker(r.self.ID), func(m *nats.Msg) { _ = m.Respond(nil) })
	if err != nil {
		return errors.Join(fmt.Errorf("answer other workers: %w", err), heard.Unsubscribe())
	}
	r.tell(true)
	group.Go(func() {
		r.watch(ctx)
		_ = heard.Unsubscribe()
		_ = asked.Unsubscribe()
		r.setState(gone)
		_ = r.nc.FlushTimeout(pingTimeout)
	})
	select {
	case <-time.After(settle):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// watch sends this worker's beats and checks on the others.
func (r *Roster) watch(ctx context.Context) {
	telling, looking := time.NewTicker(beatEvery), time.NewTicker(beatEvery/2)
	defer telling.Stop()
	defer looking.Stop()
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-telling.C:
			r.tell(false)
		case <-looking.C:
			if now := time.Now(); now.Sub(last) > deadAfter/2 || !r.nc.IsConnected() {
				r.pardon(now) // this worker itself was away, so the silence of others means nothing
				last = now
			} else {
				last = now
				r.askLate(now)
			}
		}
	}
}

// hear takes in another worker's beat.
func (r *Roster) hear(m *nats.Msg) {
	var b beat
	if err := json.Unmarshal(m.Data, &b); err != nil || b.ID == "" {
		r.logger.Debug("a message that is no heartbeat", "subject", m.Subject, "error", err)
		return
	}
	if b.ID == r.self.ID {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	known, is := r.peers[b.ID]
	switch {
	case b.State == gone:
		delete(r.peers, b.ID)
	case is:
		known.seen = time.Now()
		if known.State == b.State && maps.Equal(known.Owned, b.Owned) {
			return
		}
		known.Member = b.Member
	default:
		r.peers[b.ID] = &peer{Member: b.Member, seen: time.Now()}
	}
	if b.Hello {
		go r.tell(false)
	}
	r.note(b.Owned)
	r.notify()
}

// note remembers the highest epochs. The lock is held.
func (r *Roster) note(owned map[int]int64) {
	for p, epoch := range owned {
		r.highest[p] = max(r.highest[p], epoch)
	}
}

// pardon counts everybody as just seen.
func (r *Roster) pardon(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.peers {
		p.seen = now
	}
}

// askLate asks the members that are late.
func (r *Roster) askLate(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.peers {
		if now.Sub(p.seen) > lateAfter {
			r.ask(p)
		}
	}
}

// Suspect asks a member at once whether it is there. Call it when a message to the member came
// back.
func (r *Roster) Suspect(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p, is := r.peers[id]; is {
		r.ask(p)
	}
}

// ask finds out whether a silent member is there. If the member's process has ended, the server
// says so at once. The lock is held.
func (r *Roster) ask(p *peer) {
	if p.asking {
		return
	}
	p.asking = true
	id := p.ID
	go func() {
		_, err := r.nc.Request(r.namespace.Worker(id), nil, pingTimeout)
		r.mu.Lock()
		defer r.mu.Unlock()
		p.asking = false
		switch {
		case err == nil:
			p.seen = time.Now()
		case r.peers[id] != p || !r.nc.IsConnected():
		case errors.Is(err, nats.ErrNoResponders), time.Since(p.seen) > deadAfter:
			delete(r.peers, id)
			r.logger.Warn("a worker is gone", "worker", p.Node, "partitions", len(p.Owned), "error", err)
			r.notify()
		}
	}()
}

// tell sends this worker's beat to the others.
func (r *Roster) tell(hello bool) {
	r.telling.Lock()
	defer r.telling.Unlock()
	r.mu.Lock()
	body, err := json.Marshal(beat{Member: r.self, Hello: hello})
	r.mu.Unlock()
	if err == nil {
		err = r.nc.Publish(r.namespace.Beat(), body)
	}
	if err != nil {
		r.logger.Debug("no heartbeat could be sent", "error", err)
	}
}

// Changed is signalled when the view has changed.
func (r *Roster) Changed() <-chan struct{} { return r.changed }

// notify signals a change. The lock is held.
func (r *Roster) notify() {
	r.refresh()
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

// refresh renews the table of owners. The lock is held, or the roster is new.
func (r *Roster) refresh() {
	owners := Owners(r.partitions, r.members())
	r.owners.Store(&owners)
}

// Owner returns the id of the member that owns a partition, or "" if no owner is known.
func (r *Roster) Owner(partition int) string { return (*r.owners.Load())[partition] }

// Claimed returns the highest epoch of a partition that anybody has claimed, or 0 if nobody has.
func (r *Roster) Claimed(partition int) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.highest[partition]
}

// Members returns all known members, including this worker.
func (r *Roster) Members() []Member {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.members()
}

// members ignores claims older than the highest epoch seen, even if the owner with that epoch is
// gone. A thawed worker still announces its old claim, and would take itself for the owner as soon
// as its successor hands over.
func (r *Roster) members() []Member {
	all := make([]Member, 0, len(r.peers)+1)
	all = append(all, r.self)
	for _, p := range r.peers {
		all = append(all, p.Member)
	}
	for i := range all {
		all[i].Owned = maps.Clone(all[i].Owned)
		maps.DeleteFunc(all[i].Owned, func(p int, epoch int64) bool { return epoch < r.highest[p] })
	}
	return all
}

// Claim tells the others that this worker owns a partition now.
func (r *Roster) Claim(partition int, epoch int64) {
	r.update(func(self *Member) { self.Owned[partition] = epoch })
}

// Release tells the others that this worker no longer owns a partition.
func (r *Roster) Release(partition int) {
	r.update(func(self *Member) { delete(self.Owned, partition) })
}

// Activate tells the others that this worker, which has joined, can take its share.
func (r *Roster) Activate() { r.setState(Active, Joining) }

// Leave tells the others that this worker hands over its partitions for good.
func (r *Roster) Leave() { r.setState(Leaving) }

// GiveUp tells the others to take this worker's partitions.
func (r *Roster) GiveUp() { r.setState(Unable, Active) }

// Recover takes GiveUp back: this worker can be given partitions again.
func (r *Roster) Recover() { r.setState(Active, Unable) }

// setState sets the state if the present one is one of from. Without from it always sets the state.
func (r *Roster) setState(s State, from ...State) {
	r.mu.Lock()
	apply := r.self.State != s && (len(from) == 0 || slices.Contains(from, r.self.State))
	r.mu.Unlock()
	if apply {
		r.update(func(self *Member) { self.State = s })
	}
}

func (r *Roster) update(change func(*Member)) {
	r.mu.Lock()
	change(&r.self)
	r.note(r.self.Owned)
	r.notify()
	r.mu.Unlock()
	r.tell(false)
}
