package ownership

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/maestro-es/maestro/internal/lane"
	"github.com/maestro-es/maestro/internal/membership"
)

const (
	// briefly is how long lanes or publishers may stand still if all busy ones do.
	briefly = 2 * time.Second
	// forLong is how long a single one may stand still while others move.
	forLong = 30 * time.Second
)

// Ready returns nil if this worker owns its share of the partitions and work moves in all of them
// at this moment. The error says what is missing or stands still. It asks no server.
func (o *Ownership) Ready() error {
	now := time.Now()
	return errors.Join(o.share(), o.committing(now), o.publishing(now))
}

// share returns nil if this worker owns the partitions assigned to it. It ignores the partitions
// assigned to others.
func (o *Ownership) share() error {
	members := o.Roster.Members()
	owners, assigned := membership.Owners(len(o.Lanes), members), membership.Assign(len(o.Lanes), members)
	missing := 0
	for p := range owners {
		if assigned[p] == o.ID && owners[p] != o.ID {
			missing++
		}
	}
	if missing > 0 {
		return fmt.Errorf("owns %d partitions, %d more are to come", o.Owned(), missing)
	}
	return nil
}

// committing returns nil if commands get their outcomes. User code that does not return concerns
// its own partition only.
func (o *Ownership) committing(now time.Time) error {
	busy, stuck, longest := 0, 0, standstill{}
	for p, t := range o.owning() {
		s := t.Lane.Stats()
		if s.Stalled.IsZero() {
			continue
		}
		busy++
		stands := standstill{p, now.Sub(s.Stalled), doing(s.Doing)}
		if stands.lasts > briefly && s.Doing.Step != lane.Deciding && s.Doing.Step != lane.Projecting {
			stuck++
		}
		longest = longest.or(stands)
	}
	switch {
	case stuck > 0 && stuck == busy && (busy > 1 || o.Owned() == 1):
		return fmt.Errorf("nothing is committed: %w", longest)
	case longest.lasts > forLong:
		return longest
	}
	return nil
}

// publishing returns nil if committed events are published.
func (o *Ownership) publishing(now time.Time) error {
	behind, stuck, longest := 0, 0, standstill{}
	for p, t := range o.owning() {
		since, why := t.Publisher.Obstacle()
		if t.Publisher.Diverged() {
			return fmt.Errorf("events of partition %d are not published: %w", p, why)
		}
		if t.Lane.Stats().Unpublished > 0 {
			behind++
		}
		if why == nil {
			continue
		}
		stands := standstill{p, now.Sub(since), why.Error()}
		if stands.lasts > briefly {
			stuck++
		}
		longest = longest.or(stands)
	}
	switch {
	case stuck > 0 && stuck >= behind:
		return fmt.Errorf("nothing is published: %w", longest)
	case longest.lasts > forLong:
		return fmt.Errorf("events wait: %w", longest)
	}
	return nil
}

// standstill is a partition in which nothing moves.
type standstill struct {
	partition int
	lasts     time.Duration
	why       string
}

// Error implements error.
func (s standstill) Error() string {
	return fmt.Sprintf("partition %d stands still for %s: %s", s.partition, s.lasts.Round(time.Second), s.why)
}

// or returns the one of the two that lasts longer.
func (s standstill) or(other standstill) standstill {
	if other.lasts > s.lasts {
		return other
	}
	return s
}

// doing describes what a lane is doing.
func doing(d lane.Doing) string {
	what := string(cmp.Or(d.Step, "between two steps"))
	if d.Command != "" {
		what += fmt.Sprintf(" %s of %s %s", d.Command, d.Aggregate.Type, d.Aggregate.ID)
	}
	if d.Projection != "" {
		what += " in projection " + d.Projection
	}
	if d.Problem != "" {
		what += fmt.Sprintf(", %d attempts have failed: %s", d.Attempts, d.Problem)
	}
	return what
}

// owning goes through the tenures of this worker, by partition.
func (o *Ownership) owning() func(yield func(int, *Tenure) bool) {
	return func(yield func(int, *Tenure) bool) {
		for p := range o.tenures {
			if t := o.tenures[p].Load(); t != nil && !yield(p, t) {
				return
			}
		}
	}
}
