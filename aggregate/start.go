package aggregate

import "encoding/json"

// begin sets the state of an aggregate without events.
func (i *instance[S]) begin() (err error) {
	defer catch(&err, "start of", i.definition.name, i.id)
	i.state = i.definition.start()
	return nil
}

// unbegun is an aggregate whose start panicked. It has no state, so its methods return the error.
type unbegun[S any] struct {
	*instance[S]
	err error
}

func (u unbegun[S]) State() (json.RawMessage, error)                     { return nil, u.err }
func (u unbegun[S]) Execute(string, []byte, Metadata) ([]Decided, error) { return nil, u.err }
func (u unbegun[S]) Restore(Snapshot) error                              { return u.err }
func (u unbegun[S]) Apply(...Recorded) error                             { return u.err }
func (u unbegun[S]) Snapshot() (Snapshot, error)                         { return Snapshot{}, u.err }
func (u unbegun[S]) Clone() Instance                                     { return u }
