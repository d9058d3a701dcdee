package openloop

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// Plan says how much load is sent, and for how long.
type Plan struct {
	// Rate is the number of commands due in a second.
	Rate float64
	// Duration is the measured time. WarmUp is how long commands are sent before that.
	Duration, WarmUp time.Duration
	// MaxInFlight is the limit of commands without an answer; 0 stands for 10,000. At the limit a
	// command that is due waits, and the wait counts as latency.
	MaxInFlight int
	// Grace is how late a command may still be sent after the end of the time; 0 stands for 1 s.
	// Later commands are unsent.
	Grace time.Duration
	// Watch is told every second how the run goes, unless Watch is nil.
	Watch func(Moment)
}

// Defaults of a plan. Because of the grace, a machine that is busy for a moment loses no command.
const (
	defaultMaxInFlight = 10_000
	defaultGrace       = time.Second
)

// maxRate is more than one process can send.
const maxRate = 10_000_000

// Check tells whether the plan makes sense.
func (p Plan) Check() error {
	var errs []error
	if !(p.Rate > 0 && p.Rate <= maxRate) { // not a number is neither
		errs = append(errs, fmt.Errorf("rate %v: expected commands per second, above 0 and at most %d", p.Rate, maxRate))
	}
	if p.Duration <= 0 {
		errs = append(errs, fmt.Errorf("duration %s: expected a time above 0, such as 30s", p.Duration))
	}
	if p.WarmUp < 0 {
		errs = append(errs, fmt.Errorf("warm-up %s: expected a time from 0, such as 5s", p.WarmUp))
	}
	if p.MaxInFlight < 0 {
		errs = append(errs, fmt.Errorf("%d commands in flight at most: expected a number above 0", p.MaxInFlight))
	}
	if len(errs) == 0 && p.commandsIn(p.Duration) < 1 {
		errs = append(errs, fmt.Errorf("rate %v for %s: not one command is due in that time", p.Rate, p.Duration))
	}
	return errors.Join(errs...)
}

func (p Plan) commandsIn(d time.Duration) int { return int(math.Ceil(p.Rate*d.Seconds() - 1e-6)) }

// due returns when a command is due, counted from the start. Commands are evenly spaced.
func (p Plan) due(n int) time.Duration { return time.Duration(float64(n) / p.Rate * 1e9) }
