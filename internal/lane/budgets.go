package lane

import (
	"cmp"
	"time"
)

// Budgets are the times that a lane works within. A zero value stands for its default.
type Budgets struct {
	// Attempt bounds each exchange with the store: a load, a commit with all that projections do in it. The default is 30 s.
	Attempt time.Duration
}

func (b Budgets) withDefaults() Budgets {
	b.Attempt = cmp.Or(b.Attempt, 30*time.Second)
	return b
}
