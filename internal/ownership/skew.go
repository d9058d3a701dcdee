package ownership

import "time"

const (
	// maxSkew is the difference between the clocks of this machine and of the store above which a
	// warning is logged.
	maxSkew = time.Second
	// tellSkewEvery is how often a lasting difference is logged.
	tellSkewEvery = 10 * time.Minute
)

// skew logs that the clocks of this machine and of the store differ, and when they agree again.
type skew struct {
	told time.Time // when it was last logged; zero while the clocks agree
}

func (s *skew) compare(o *Ownership) {
	ahead, _ := o.Lane.Clock.Ahead()
	switch {
	case ahead.Abs() > maxSkew && (s.told.IsZero() || time.Since(s.told) > tellSkewEvery):
		s.told = time.Now()
		o.Logger.Warn("the clocks of this machine and of Postgres differ: one of them is wrong. Synchronise both; see "+
			"\"When clocks differ\" in docs/operations.md", "ahead_of_postgres", ahead.Round(time.Millisecond))
	case ahead.Abs() < maxSkew/2 && !s.told.IsZero():
		s.told = time.Time{}
		o.Logger.Info("the clocks of this machine and of Postgres agree again")
	}
}
