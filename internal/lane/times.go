package lane

import (
	"cmp"
	"time"
)

// Budgets are the time limits of a lane. A zero value means the default.
type Budgets struct {
	// Attempt bounds each exchange with the store: a load, or a commit including its projections.
	// The default is 30 s.
	Attempt time.Duration
	// Turn is roughly how long a batch may run the user's code. A batch ends when its evaluation
	// has taken this long. The next batch is smaller if projections take longer. The default is 1
	// s.
	Turn time.Duration
	// Projections bounds the time of all projections of a commit. A command that takes longer alone
	// is tried again, and finally given up. The default is 10 s.
	Projections time.Duration
	// Spread is how long a command is tried before it is given up, if Postgres was slow meanwhile.
	// The default is 5 min.
	Spread time.Duration
	// Recent is how long a slow Postgres counts as recently slow. The default is 1 min.
	Recent time.Duration
	// Rarely is the least time between two commands of the partition that are given up while
	// Postgres was recently slow. The default is 10 min.
	Rarely time.Duration
	// Silence is the time after which the log names a handler that has not returned. It is also the
	// longest wait for the code that encodes a state or a snapshot. The default is 20 s.
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

// quick is the longest time that an empty commit takes on a healthy Postgres. If an empty commit
// takes longer, Postgres may be the cause of slowness.
func (b Budgets) quick() time.Duration { return b.Projections / 10 }
