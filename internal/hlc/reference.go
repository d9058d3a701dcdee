package hlc

import (
	"sync/atomic"
	"time"
)

// Reference is what a process knows of the store's time. It keeps the difference from the machine's
// monotonic clock, so jumps of the wall clock do not change it. It is safe for concurrent use.
type Reference struct {
	began time.Time
	wall  func(time.Time) time.Time
	// offset is the store's time at the moment began, in microseconds since 1970; 0 while nothing
	// is known.
	offset atomic.Int64
}

// New returns a reference that knows nothing yet. While nothing is known, the machine's clock
// counts.
func New() *Reference { return NewWithWall(wallAt) }

// NewWithWall returns a reference whose machine's clock says wall(t) at the moment t.
func NewWithWall(wall func(t time.Time) time.Time) *Reference {
	return &Reference{began: time.Now(), wall: wall}
}

// Clock returns a new clock. Its observations do not affect other clocks.
func (r *Reference) Clock() Clock { return Clock{reference: r} }

// Saw notes the store's time, read in an exchange that began at the moment sent and has just ended.
// A zero sent means that the beginning is unknown. The known time changes only as far as the
// exchange contradicts it, so a slow exchange does no harm.
func (r *Reference) Saw(store, sent time.Time) {
	if store.IsZero() {
		return
	}
	at := store.UnixMicro()
	least, most := at-r.since(time.Now()), int64(1<<62)
	if !sent.IsZero() {
		most = at - r.since(sent)
	}
	for {
		known := r.offset.Load()
		next := least // at first the least possible, so that no time is beyond the store's
		if known != 0 {
			next = min(max(known, least), most)
		}
		if next == known || r.offset.CompareAndSwap(known, next) {
			return
		}
	}
}

// Wall returns the time of the machine's clock.
func (r *Reference) Wall() time.Time { return r.wall(time.Now()) }

// Ahead tells how far the machine's clock is ahead of the store's, and whether that is known.
func (r *Reference) Ahead() (by time.Duration, known bool) {
	wall, store := r.times()
	return time.Duration(wall-store) * time.Microsecond, r.offset.Load() != 0
}

// times returns the machine's time and the store's, in microseconds since 1970.
func (r *Reference) times() (wall, store int64) {
	now := time.Now()
	wall = r.wall(now).UnixMicro()
	if offset := r.offset.Load(); offset != 0 {
		return wall, offset + r.since(now)
	}
	return wall, wall
}

// since returns the microseconds since the reference was made, by the monotonic clock.
func (r *Reference) since(now time.Time) int64 { return now.Sub(r.began).Microseconds() }
