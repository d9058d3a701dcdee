package ownership

import "time"

const (
	// maxSkew is how far the clocks of this machine and of the store may be apart without a word.
	maxSkew = time.Second
	// tellSkewEvery is how often a difference is told that lasts.
	tellSkewEvery = 10 * time.Minute
)

// skew tells that the clocks of this machine and of the store differ, and when that is over.
type skew struct {
	told time.Time // last; zero while they agree
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
