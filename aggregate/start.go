package aggregate

import "encoding/json"

// begin gives an aggregate without events its state.
func (i *instance[S]) begin() (err error) {
	defer catch(&err, "start of", i.definition.name, i.id)
	i.state = i.definition.start()
	return nil
}

// unbegun is an aggregate whose start panicked: it has no state that anything could be done with.
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
