package aggregate

import "fmt"

// Idle says what becomes of an aggregate in memory that nobody has asked for in a while. Whatever it says, the aggregate is in the
// log, and memory that runs short is taken from the one that was used least recently.
type Idle uint8

// What can become of an idle aggregate.
const (
	// Exit lets it go. The next command loads it again.
	Exit Idle = iota
	// ExitWithSnapshot stores a snapshot of what has changed since the last one and lets it go, so that loading it again is quick.
	ExitWithSnapshot
	// Stay keeps it as long as there is memory.
	Stay
)

// WhenIdle sets what becomes of aggregates that nobody has asked for in a while. The default is [Exit]. How long a while is, and
// how much memory there is, belongs to the worker.
func WhenIdle[S any](i Idle) Option[S] {
	return func(d *Definition[S]) {
		if i > Stay {
			d.check(fmt.Errorf("idle policy %d: expected Exit, ExitWithSnapshot or Stay", i))
		}
		d.idle = i
	}
}

// WhenIdle says what becomes of aggregates that nobody has asked for in a while.
func (d *Definition[S]) WhenIdle() Idle { return d.idle }
