// Package hlc tells the time for events. Each lane has a hybrid logical clock, which follows the
// machine's clock as far as the store's clock confirms it. The package also makes ids.
//
// The logical part is folded into the microseconds (Kulkarni et al., "Logical Physical Clocks",
// 2014, put into one number): each reading is the machine's time, or one microsecond after the last
// reading or observation, whichever is later. A reading fits a Postgres timestamptz without loss.
//
// A machine's clock may be years off. Its time is therefore limited to within a minute of the
// store's time, which a [Reference] knows. Nothing is refused because of a clock.
package hlc

import "time"

// Within is how far the time of an event may be from the store's.
const Within = time.Minute

// reach is how far a reading may be from the known store's time, in microseconds. It is a second
// less than [Within], because the known time may be a second off. So the store never finds the last
// time of a partition beyond Within.
const reach = int64((Within - time.Second) / time.Microsecond)

// Reading is one look at the clocks.
type Reading struct {
	// Time is after the time of every earlier reading of the same clock, with microseconds, in UTC.
	Time time.Time
	// Wall is the time of the machine's clock, unlimited. Latest is the later of Wall and the
	// store's time.
	Wall, Latest time.Time
}

// Clock is a hybrid logical clock. It belongs to one goroutine.
type Clock struct {
	reference *Reference
	last      int64 // microseconds since 1970
}

// Now reads the clock.
func (c *Clock) Now() Reading {
	wall, store := c.reference.times()
	c.last = max(within(wall, store, reach), c.last+1)
	return Reading{Time: timeOf(c.last), Wall: timeOf(wall), Latest: timeOf(max(wall, store))}
}

// Observe makes every later reading come after t, a time that was found in the store. now is the
// store's own time at that moment, or zero for a store without a clock. If t is more than [Within]
// after now, it counts as now plus Within. With a zero now there is no such limit.
func (c *Clock) Observe(t, now time.Time) {
	if latest := now.Add(Within); !now.IsZero() && t.After(latest) {
		t = latest
	}
	c.last = max(c.last, t.UnixMicro())
}

func within(t, of, reach int64) int64 { return min(max(t, of-reach), of+reach) }

func timeOf(micros int64) time.Time { return time.UnixMicro(micros).UTC() }
