package openloop

import (
	"cmp"
	"context"
	"sync"
	"time"
)

// Sender sends commands.
type Sender interface {
	// Send sends the command with number n without waiting for the answer. done is called exactly
	// once, whatever happens, from any goroutine.
	Send(n int, done func(Answer))
}

// Run sends the plan's commands, each when it is due, and waits for the answers. When ctx ends, Run
// sends no more commands, and the report covers what was measured until then. Run returns an error
// if the plan makes no sense.
func Run(ctx context.Context, p Plan, s Sender) (Report, error) {
	if err := p.Check(); err != nil {
		return Report{}, err
	}
	p.MaxInFlight = cmp.Or(p.MaxInFlight, defaultMaxInFlight)
	p.Grace = cmp.Or(p.Grace, defaultGrace)
	r := &run{Plan: p, sender: s, tally: newTally(), slots: make(chan struct{}, p.MaxInFlight)}
	r.warmUp = p.commandsIn(p.WarmUp)
	r.commands = r.warmUp + p.commandsIn(p.Duration)
	pace, err := newClock()
	if err != nil {
		return Report{}, err
	}
	defer pace.close()
	r.start = time.Now()
	stop := r.watch()
	sent, err := r.send(ctx, pace)
	r.answers.Wait()
	stop()
	return r.report(ctx, sent), err
}

// run is a plan under way.
type run struct {
	Plan
	sender           Sender
	tally            *tally
	start            time.Time
	warmUp, commands int
	slots            chan struct{} // one is taken for each command in flight
	answers          sync.WaitGroup
	measured         int       // commands sent since the warm-up
	began            time.Time // when the first of them was sent
}

// send sends each command when it is due, and returns how many commands it sent before the time was
// over.
func (r *run) send(ctx context.Context, pace *clock) (sent int, err error) {
	end := r.start.Add(r.WarmUp + r.Duration)
	over, cancel := context.WithDeadline(ctx, end.Add(r.Grace))
	defer cancel()
	for n := range r.commands {
		due := r.start.Add(r.due(n))
		if err := waitUntil(ctx, pace, due); err != nil || ctx.Err() != nil {
			return n, err
		}
		ok, held := r.takeSlot(over)
		if !ok {
			return n, nil
		}
		now := time.Now()
		if now.After(end) && now.Sub(due) > r.Grace {
			<-r.slots
			return n, nil
		}
		r.launch(n, due, now, held)
	}
	return r.commands, nil
}

// launch sends a command. A command of the warm-up is measured only if the system is so far behind
// that there would be nothing else to measure.
func (r *run) launch(n int, due, now time.Time, held bool) {
	late := now.Sub(due)
	measured := n >= r.warmUp || late > r.Grace && now.After(r.start.Add(r.WarmUp))
	if measured {
		if r.measured++; r.measured == 1 {
			r.began = now
		}
		r.tally.sent(late, held)
	}
	r.answers.Add(1)
	r.sender.Send(n, func(a Answer) {
		<-r.slots
		r.tally.answered(measured, time.Since(due), a)
		r.answers.Done()
	})
}

// takeSlot takes a place in flight. held says that it had to wait for one.
func (r *run) takeSlot(ctx context.Context) (ok, held bool) {
	select {
	case r.slots <- struct{}{}:
		return true, false
	default:
	}
	select {
	case r.slots <- struct{}{}:
		return true, true
	case <-ctx.Done():
		return false, true
	}
}

// waitUntil waits until a command is due or ctx has ended.
func waitUntil(ctx context.Context, pace *clock, due time.Time) error {
	for {
		left := time.Until(due)
		if left <= 0 || ctx.Err() != nil {
			return nil
		}
		if err := pace.wait(min(max(left, grain), attention)); err != nil {
			return err
		}
	}
}

// grain is the shortest wait. Commands that come due during it are sent together, late by at most
// the grain, which counts as latency. Waking up for every command takes more processor time than
// sending it, here and in the server.
const grain = 500 * time.Microsecond

// attention is the longest time until the end of ctx is noticed.
const attention = 100 * time.Millisecond

// watch reports to Plan.Watch every second, until stop is called.
func (r *run) watch() (stop func()) {
	if r.Watch == nil {
		return func() {}
	}
	done, stopped := make(chan struct{}), make(chan struct{})
	tick := time.NewTicker(time.Second)
	go func() {
		defer close(stopped)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case now := <-tick.C:
				m := r.tally.moment()
				m.Elapsed, m.InFlight = now.Sub(r.start), len(r.slots)
				r.Watch(m)
			}
		}
	}()
	return func() { close(done); <-stopped }
}
