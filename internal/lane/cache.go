package lane

import (
	"context"
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/internal/monotonic"
	"github.com/maestro-es/maestro/store"
)

// Memory is the memory in which a worker's lanes keep aggregates. Each lane has an equal share. A
// lane may use more while others do not use all of theirs. Memory is safe for concurrent use.
type Memory struct {
	// Intake bounds the commands that wait or are in hand. Reads bounds the histories that are read
	// at a time and the snapshots that wait to be stored. Nil means no limit.
	Intake, Reads *Budget

	bytes int64
	idle  time.Duration
	lanes atomic.Int64
	used  atomic.Int64
	folds chan struct{} // bounds the histories that are read beside the lanes
	// loading, folding and saving share Reads.
	loading, folding, saving *Holder
}

// NewMemory returns a memory of the given number of bytes. Lanes drop aggregates that nobody has
// asked for in the time idle; 0 means that age does not matter.
func NewMemory(bytes int64, idle time.Duration) *Memory {
	return (&Memory{bytes: bytes, idle: idle, folds: make(chan struct{}, maxFolds)}).Bounded(0, 0)
}

// Bounded sets the budgets, in bytes; 0 means no limit. Call it before anybody uses the memory.
func (m *Memory) Bounded(intake, reads int64) *Memory {
	m.Intake, m.Reads = NewBudget(intake), NewBudget(reads)
	m.loading, m.folding, m.saving = m.Reads.Holder(), m.Reads.Holder(), m.Reads.Holder()
	return m
}

// Reading reserves room for a read on behalf of a client. It waits for the room until ctx ends;
// done gives the room back.
func (m *Memory) Reading(ctx context.Context) (done func(), err error) { return m.folding.reading(ctx) }

// reading reserves room for one exchange that reads histories.
func (h *Holder) reading(ctx context.Context) (done func(), err error) {
	if !h.Take(ctx, nil, store.PageBytes) {
		return nil, fmt.Errorf("the worker reads as many bytes as it may: %w", ctx.Err())
	}
	return func() { h.Give(store.PageBytes) }, nil
}

func (m *Memory) share() int64 { return m.bytes / max(1, m.lanes.Load()) }

// cached is an aggregate in memory.
type cached struct {
	instance aggregate.Instance
	used     int64 // when, as [monotonic.Now]
	bytes    int64 // an estimate, made when the aggregate was at sequence measured
	measured int64
	snapshot int64 // the sequence of the last snapshot
}

// entryBytes is the cache's overhead for each aggregate: the entry, its place in the map, and the
// subject that the key is a substring of.
const entryBytes = 256

// cache keeps aggregates between batches, in the order of their last use.
type cache struct {
	lru   *simplelru.LRU[store.Key, cached]
	bytes int64
	told  int64 // the part of bytes that Memory counts as used
}

func newCache() cache {
	lru, err := simplelru.NewLRU[store.Key, cached](math.MaxInt, nil)
	if err != nil {
		panic(err) // only a size below one is an error
	}
	return cache{lru: lru}
}

// get returns an aggregate, or nil if it is not in memory.
func (c *cache) get(key store.Key) aggregate.Instance {
	entry, _ := c.lru.Get(key)
	return entry.instance
}

// put keeps an aggregate and marks it as just used.
func (c *cache) put(key store.Key, entry cached) {
	before, _ := c.lru.Peek(key)
	// A state is measured again after a quarter more events.
	if n := entry.instance.Sequence(); entry.bytes == 0 || n > entry.measured+entry.measured/4 {
		entry.bytes, entry.measured = int64(entry.instance.Bytes())+entryBytes, n
	}
	c.bytes += entry.bytes - before.bytes
	c.lru.Add(key, entry)
}

func (c *cache) purge() {
	c.lru.Purge()
	c.bytes = 0
}

// keepAggregates puts the aggregates of a batch into the cache and takes the snapshots that are
// due.
func (l *Lane) keepAggregates(a *attempt) {
	now := int64(monotonic.Now())
	for key, instance := range a.now {
		if instance == nil {
			continue
		}
		entry, _ := l.cache.lru.Peek(key)
		entry.instance, entry.used = instance, now
		if l.Types[key.Type].SnapshotDue(entry.snapshot, instance.Sequence()) && l.snapshot(key, instance) {
			entry.snapshot = instance.Sequence()
		}
		l.cache.put(key, entry)
	}
	l.shrink(now)
}

// useMemory tells Memory how much the lane uses now.
func (l *Lane) useMemory() {
	l.Memory.used.Add(l.cache.bytes - l.cache.told)
	l.cache.told = l.cache.bytes
}

// borrows tells whether the lane uses more than its share. A single aggregate never counts as
// borrowed, because the next command would have to load it again.
func (l *Lane) borrows() bool { return l.cache.bytes > l.Memory.share() && l.cache.lru.Len() > 1 }

// shrink drops aggregates while the lane borrows and Memory is full. It also drops idle aggregates.
func (l *Lane) shrink(now int64) {
	for l.useMemory(); l.borrows() && l.Memory.used.Load() > l.Memory.bytes; l.useMemory() {
		key, entry, _ := l.cache.lru.GetOldest()
		l.letGo(key, entry)
	}
	for idle := int64(l.Memory.idle); idle > 0; {
		key, entry, some := l.cache.lru.GetOldest()
		if !some || now-entry.used < idle {
			return
		}
		if l.Types[key.Type].WhenIdle() == aggregate.Stay {
			entry.used = now
			l.cache.put(key, entry)
			continue
		}
		l.letGo(key, entry)
	}
}

func (l *Lane) letGo(key store.Key, entry cached) {
	if entry.instance.Sequence() > entry.snapshot && l.Types[key.Type].WhenIdle() == aggregate.ExitWithSnapshot {
		l.snapshot(key, entry.instance)
	}
	l.cache.lru.Remove(key)
	l.cache.bytes -= entry.bytes
}

// lookForIdle ticks when a lane with nothing else to do shall look for idle aggregates. Without an
// idle time it never ticks.
func (m *Memory) lookForIdle() (tick <-chan time.Time, stop func()) {
	if m.idle <= 0 {
		return nil, func() {}
	}
	ticker := time.NewTicker(max(m.idle/4, 10*time.Millisecond))
	return ticker.C, ticker.Stop
}
