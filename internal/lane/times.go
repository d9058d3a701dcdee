package lane

import (
	"cmp"
	"time"
)

// Budgets are the times that a lane works within. A zero value stands for its default.
type Budgets struct {
	// Attempt bounds each exchange with the store: a load, a commit with all that projections do in
	// it. The default is 30 s.
	Attempt time.Duration
	// Turn is what a batch takes of the user's code, roughly: a batch ends when it has been
	// evaluated for so long, and is made smaller when its projections take longer. The default is 1
	// s.
	Turn time.Duration
	// Projections bounds what the projections of one commit may take. The default is 10 s. A
	// command that takes longer alone is tried again, and given up in the end.
	Projections time.Duration
	// Spread is the time over which a command is tried before it is given up, where Postgres was
	// slow meanwhile. The default is 5 min.
	Spread time.Duration
	// Recent is how long it counts that Postgres was slow. The default is 1 min.
	Recent time.Duration
	// Rarely is how often a command of the partition may be given up where Postgres was slow
	// recently. The default is 10 min.
	Rarely time.Duration
	// Silence is the time after which a handler that does not come back is named in the log, and
	// after which nothing waits any more for the code that encodes a state or a snapshot. The
	// default is 20 s.
	Silence time.Duration
}

const defaultSilence = 20 * time.Second

func (b Budgets) withDefaults() Budgets {
	b.Attempt = cmp.Or(b.Attempt, 30*time.Second)
	b.Turn = cmp.Or(b.Turn, time.Second)
	b.Projections = cmp.Or(b.Projections, 10*time.Second)
	b.Spread = cmp.Or(b.Spread, 5*time.Minute)
	b.Recent = cmp.Or(b.Recent, time.Minute)
	b.Rarely = cmp.Or(b.Rarely, 10*time.Minute)
	b.Silence = cmp.Or(b.Silence, defaultSilence)
	return b
}

// quick is what a commit without anything in it takes at most where Postgres is not to blame for
// what is slow.
func (b Budgets) quick() time.Duration { return b.Projections / 10 }
