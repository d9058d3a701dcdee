package aggregate

import (
	"encoding/json"
	"fmt"
	"reflect"
)

// Recorded is an event in its stored form.
type Recorded struct {
	// Sequence is the event's place among the events of its aggregate, from 1.
	Sequence int64
	// Type is the event's name on the wire.
	Type string
	// Version is the version of the event's schema, from 1. See [Upcast].
	Version int
	// Body is the event's JSON.
	Body json.RawMessage
}

// Upcast turns the stored JSON of one version of an event into the JSON of the next version.
type Upcast func(body json.RawMessage) (json.RawMessage, error)

type eventType[S any] struct {
	name    string
	goType  reflect.Type
	upcasts []Upcast
	decode  func(body []byte) (Event[S], error)
}

// version returns the version with which new events are stored.
func (t *eventType[S]) version() int { return len(t.upcasts) + 1 }

// Emits registers the event type E under its name on the wire, [a-z][a-z0-9_]{0,63}. Events are
// stored under this name, never under the name of the Go type.
//
// The first version of an event is 1. Each upcast, in order, raises the stored version by one, so
// the current version is one more than the number of upcasts. When an older event is read, it goes
// through the upcasts that it lacks.
func Emits[E Event[S], S any](name string, upcasts ...Upcast) Option[S] {
	return func(d *Definition[S]) {
		d.check(CheckName("event", name))
		if _, taken := d.events[name]; taken {
			d.check(fmt.Errorf("event %q is registered twice", name))
		}
		goType := reflect.TypeFor[E]()
		if goType.Kind() == reflect.Interface {
			d.check(fmt.Errorf("event %q: %s is an interface, register a concrete type", name, goType))
		}
		if other, taken := d.eventsByType[goType]; taken {
			d.check(fmt.Errorf("event type %s is registered as both %q and %q", goType, other.name, name))
		}
		t := &eventType[S]{name: name, goType: goType, upcasts: upcasts, decode: func(body []byte) (Event[S], error) {
			var e E
			if err := json.Unmarshal(body, &e); err != nil {
				return nil, err
			}
			return e, nil
		}}
		d.events[name], d.eventsByType[goType] = t, t
	}
}

// EventType returns the Go type that is registered under the wire name of an event.
func (d *Definition[S]) EventType(name string) (goType reflect.Type, ok bool) {
	t, ok := d.events[name]
	if !ok {
		return nil, false
	}
	return t.goType, true
}

// EncodeEvent returns the stored form of an event. Its error is an [*UnregisteredEventError] or an
// [*EventError].
func (d *Definition[S]) EncodeEvent(e Event[S], sequence int64) (Recorded, error) {
	t, ok := d.eventsByType[reflect.TypeOf(e)]
	if !ok {
		return Recorded{}, &UnregisteredEventError{Aggregate: d.name, GoType: fmt.Sprintf("%T", e)}
	}
	body, err := encode(e)
	if err != nil {
		return Recorded{}, &EventError{Aggregate: d.name, Event: t.name, Sequence: sequence, Err: err}
	}
	return Recorded{Sequence: sequence, Type: t.name, Version: t.version(), Body: body}, nil
}

// Decode reads a stored event of any version as the user's type, an Event[S]. Its error is an
// [*EventError].
func (d *Definition[S]) Decode(r Recorded) (value any, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = d.unreadable(r, panicked(p, "decoding"))
		}
	}()
	return d.decodeEvent(r)
}

func (d *Definition[S]) decodeEvent(r Recorded) (Event[S], error) {
	t, ok := d.events[r.Type]
	if !ok {
		return nil, d.unreadable(r, fmt.Errorf("no event of this name is defined (defined: %v)", d.EventNames()))
	}
	if r.Version < 1 || r.Version > t.version() {
		return nil, d.unreadable(r, fmt.Errorf("version %d was stored, this program knows 1 to %d: deploy a newer one",
			r.Version, t.version()))
	}
	body := r.Body
	for i, upcast := range t.upcasts[r.Version-1:] {
		var err error
		if body, err = upcast(body); err != nil {
			return nil, d.unreadable(r, fmt.Errorf("upcast from version %d: %w", r.Version+i, err))
		}
	}
	e, err := t.decode(body)
	if err != nil {
		return nil, d.unreadable(r, err)
	}
	return e, nil
}

func (d *Definition[S]) unreadable(r Recorded, err error) error {
	return &EventError{Aggregate: d.name, Event: r.Type, Sequence: r.Sequence, Err: err}
}
