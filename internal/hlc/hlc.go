// Package hlc is a hybrid logical clock: times that follow the machine's clock but never stand still or go back, and
// ids made of them.
//
// The logical part is folded into the microseconds (Kulkarni et al., "Logical Physical Clocks", 2014, put into one
// number): each reading is the machine's time, or one microsecond after the last reading or observation, whichever is
// later. A reading fits a Postgres timestamptz without loss.
package hlc

import (
	"encoding/binary"
	"hash/fnv"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
)

// Clock is a hybrid logical clock. It is safe for concurrent use.
type Clock struct {
	node uint64
	wall func() time.Time
	last atomic.Int64 // microseconds since 1970
}

// New returns the clock of a node. The name must be unique among the nodes that make ids at the same time; an empty name
// stands for a random one.
func New(node string) *Clock {
	return NewWithWall(node, time.Now)
}

// NewWithWall returns a clock that reads the physical time from wall.
func NewWithWall(node string, wall func() time.Time) *Clock {
	if node == "" {
		node = uuid.NewString()
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(node))
	return &Clock{node: h.Sum64(), wall: wall}
}

// Now returns a time after every earlier reading and observation, in UTC.
func (c *Clock) Now() time.Time {
	for {
		last := c.last.Load()
		next := max(c.wall().UnixMicro(), last+1)
		if c.last.CompareAndSwap(last, next) {
			return time.UnixMicro(next).UTC()
		}
	}
}

// Observe makes every later reading come after t.
func (c *Clock) Observe(t time.Time) {
	for {
		last := c.last.Load()
		if t.UnixMicro() <= last || c.last.CompareAndSwap(last, t.UnixMicro()) {
			return
		}
	}
}

// NewID returns a UUID of version 7 (RFC 9562): 48 bits of milliseconds, 12 bits for the microseconds in them, and 62 bits
// that stand for the node. Ids of one clock rise.
func (c *Clock) NewID() string {
	micros := c.Now().UnixMicro()
	var id uuid.UUID
	binary.BigEndian.PutUint64(id[:8], uint64(micros/1000)<<16|0x7000|uint64(micros%1000))
	binary.BigEndian.PutUint64(id[8:], c.node&(1<<62-1)|1<<63)
	return id.String()
}
