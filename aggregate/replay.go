package aggregate

import (
	"fmt"
	"runtime"
	"sync"
)

// longHistory is the number of events from which it pays to decode them on several processors.
const longHistory = 1000

// Apply evolves the state by stored events.
func (i *instance[S]) Apply(events ...Recorded) error {
	for n, r := range events {
		if r.Sequence != i.sequence+int64(n)+1 {
			return i.definition.unreadable(r, fmt.Errorf("expected sequence %d: events of %q are missing or out of order",
				i.sequence+int64(n)+1, i.id))
		}
	}
	decoded := i.definition.decodeAll(events)
	state := i.state
	for n, r := range events {
		var err error
		if state, err = i.definition.evolve(state, r, decoded[n]); err != nil {
			return err
		}
	}
	i.state = state
	i.sequence += int64(len(events))
	return nil
}

// stored is what an event reads as.
type stored[S any] struct {
	event Event[S]
	err   error
}

// decodeAll reads a history, a long one on all processors.
func (d *Definition[S]) decodeAll(events []Recorded) []stored[S] {
	decoded := make([]stored[S], len(events))
	decode := func(from, to int) {
		for n := from; n < min(to, len(events)); n++ {
			decoded[n] = d.decodeStored(events[n])
		}
	}
	if len(events) < longHistory {
		decode(0, len(events))
		return decoded
	}
	part := len(events)/runtime.GOMAXPROCS(0) + 1
	var group sync.WaitGroup
	for from := 0; from < len(events); from += part {
		group.Go(func() { decode(from, from+part) })
	}
	group.Wait()
	return decoded
}

func (d *Definition[S]) decodeStored(r Recorded) (s stored[S]) {
	defer func() {
		if p := recover(); p != nil {
			s.err = d.unreadable(r, panicked(p, "replay"))
		}
	}()
	s.event, s.err = d.decodeEvent(r)
	return s
}

// evolve is the state after one stored event.
func (d *Definition[S]) evolve(state S, r Recorded, s stored[S]) (next S, err error) {
	if s.err != nil {
		return state, s.err
	}
	defer func() {
		if p := recover(); p != nil {
			err = d.unreadable(r, panicked(p, "replay"))
		}
	}()
	return s.event.Evolve(state), nil
}
