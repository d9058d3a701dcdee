package aggregate

import "fmt"

// prepared are events that were decoded before Apply. Their sequences follow each other.
type prepared[S any] struct {
	first  int64 // sequence
	events []stored[S]
}

// Prepare decodes a stored event before Apply.
func (i *instance[S]) Prepare(r Recorded) {
	if i.prepared == nil {
		i.prepared = &prepared[S]{first: r.Sequence}
	}
	if p := i.prepared; r.Sequence == p.first+int64(len(p.events)) {
		p.events = append(p.events, i.definition.decodeStored(r))
	}
}

// read returns the decoded event. If Prepare has decoded it, read does not decode it again.
func (i *instance[S]) read(r Recorded) stored[S] {
	if p := i.prepared; p != nil && r.Sequence >= p.first && r.Sequence < p.first+int64(len(p.events)) {
		return p.events[r.Sequence-p.first]
	}
	return i.definition.decodeStored(r)
}

// Apply evolves the state by stored events.
func (i *instance[S]) Apply(events ...Recorded) error {
	defer func() { i.prepared = nil }()
	for n, r := range events {
		if r.Sequence != i.sequence+int64(n)+1 {
			return i.definition.unreadable(r, fmt.Errorf("expected sequence %d: events of %q are missing or out of order",
				i.sequence+int64(n)+1, i.id))
		}
	}
	state := i.state
	for _, r := range events {
		var err error
		if state, err = i.definition.evolve(state, r, i.read(r)); err != nil {
			return err
		}
	}
	i.state = state
	i.sequence += int64(len(events))
	return nil
}

// stored is the result of decoding a stored event.
type stored[S any] struct {
	event Event[S]
	err   error
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

// evolve returns the state after one stored event.
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
