package aggregate

import "fmt"

// Idle says what happens to an aggregate in memory that nobody has asked for in a while. In each
// case the aggregate stays in the log. When memory runs short, the aggregate used least recently
// gives up its memory, whatever Idle says.
type Idle uint8

// These are the policies for an idle aggregate.
const (
	// Exit drops the aggregate from memory. The next command loads it again.
	Exit Idle = iota
	// ExitWithSnapshot drops the aggregate too. If it has changed since its last snapshot, a snapshot
	// is stored first, so that loading it again is quick.
	ExitWithSnapshot
	// Stay keeps the aggregate as long as there is memory.
	Stay
)

// WhenIdle sets the policy for aggregates that nobody has asked for in a while. The default is
// [Exit]. The worker's configuration says how long a while is and how much memory there is.
func WhenIdle[S any](i Idle) Option[S] {
	return func(d *Definition[S]) {
		if i > Stay {
			d.check(fmt.Errorf("idle policy %d: expected Exit, ExitWithSnapshot or Stay", i))
		}
		d.idle = i
	}
}

// WhenIdle returns the policy for aggregates that nobody has asked for in a while.
func (d *Definition[S]) WhenIdle() Idle { return d.idle }
