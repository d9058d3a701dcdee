package eventstream

import (
	"errors"
	"time"
)

// obstacle is the reason why a publisher cannot publish.
type obstacle struct {
	why   error
	since time.Time
}

// Obstacle returns why committed events are not being published, and since when. why is nil if
// nothing is in the way.
func (p *Publisher) Obstacle() (since time.Time, why error) {
	if o := p.obstacle.Load(); o != nil {
		return o.since, o.why
	}
	return time.Time{}, nil
}

// Diverged tells whether publishing stands still because the event stream does not belong to the
// log. A person has to mend that.
func (p *Publisher) Diverged() bool {
	_, why := p.Obstacle()
	return errors.Is(why, errDiverged)
}

// hindered notes that an attempt to publish has failed.
func (p *Publisher) hindered(why error) {
	now := &obstacle{why: why, since: time.Now()}
	if before := p.obstacle.Load(); before != nil {
		now.since = before.since
	}
	p.obstacle.Store(now)
}

// free notes that publishing works.
func (p *Publisher) free() {
	if p.obstacle.Load() != nil {
		p.obstacle.Store(nil)
	}
}
