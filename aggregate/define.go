package aggregate

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
)

// Definition is a type of aggregate: its name on the wire, its commands, its events and its
// snapshots. Make one with [Define]. It does not change afterwards and is safe for concurrent use.
type Definition[S any] struct {
	name          string
	start         func() S // nil for the zero value
	commands      map[string]commandType[S]
	commandNames  map[reflect.Type]string
	events        map[string]*eventType[S]
	eventsByType  map[reflect.Type]*eventType[S]
	snapshots     snapshotCodec[S]
	snapshotEvery int64
	idle          Idle
	strict        bool
	errs          []error
}

// Option is a part of a definition: [Handles], [Emits], [Starts], [Snapshots], [SnapshotEvery],
// [WhenIdle], [Strict].
type Option[S any] func(*Definition[S])

// Define makes the aggregate type with this name on the wire, [a-z][a-z0-9_]{0,63}. It returns no
// error, so that it can initialise a package variable. Mistakes, such as a name used twice, are
// kept in [Definition.Err]. Everything that runs the definition reports them first.
func Define[S any](name string, options ...Option[S]) *Definition[S] {
	d := &Definition[S]{
		name:         name,
		commands:     map[string]commandType[S]{},
		commandNames: map[reflect.Type]string{},
		events:       map[string]*eventType[S]{},
		eventsByType: map[reflect.Type]*eventType[S]{},
		snapshots:    defaultSnapshots[S](),
	}
	d.check(CheckName("aggregate", name))
	for _, option := range options {
		option(d)
	}
	if len(d.commands) == 0 {
		d.check(errors.New("no command: add aggregate.Handles"))
	}
	return d
}

func (d *Definition[S]) check(err error) {
	if err != nil {
		d.errs = append(d.errs, fmt.Errorf("define aggregate %q: %w", d.name, err))
	}
}

// Name returns the aggregate type's name on the wire.
func (d *Definition[S]) Name() string { return d.name }

// Err returns what is wrong with the definition, or nil.
func (d *Definition[S]) Err() error { return errors.Join(d.errs...) }

// CommandNames lists the wire names of the commands in alphabetical order.
func (d *Definition[S]) CommandNames() []string { return slices.Sorted(maps.Keys(d.commands)) }

// EventNames lists the wire names of the events in alphabetical order.
func (d *Definition[S]) EventNames() []string { return slices.Sorted(maps.Keys(d.events)) }

// Starts sets the state of an aggregate without events. start is called for each aggregate, so a
// map that it makes belongs to one aggregate only. The default state is the zero value of S.
func Starts[S any](start func() S) Option[S] {
	return func(d *Definition[S]) { d.start = start }
}

type commandType[S any] func(body []byte) (Command[S], error)

// Handles registers the command type C under its name on the wire, [a-z][a-z0-9_]{0,63}. The
// payload is C's JSON. An empty payload stands for {}. null is refused. See [Strict] for fields
// that the command does not have.
func Handles[C Command[S], S any](name string) Option[S] {
	return func(d *Definition[S]) {
		d.check(CheckName("command", name))
		if _, taken := d.commands[name]; taken {
			d.check(fmt.Errorf("command %q is registered twice", name))
		}
		goType := reflect.TypeFor[C]()
		if goType.Kind() == reflect.Interface {
			d.check(fmt.Errorf("command %q: %s is an interface, register a concrete type", name, goType))
		}
		if other, taken := d.commandNames[goType]; taken {
			d.check(fmt.Errorf("command type %s is registered as both %q and %q", goType, other, name))
		}
		d.commandNames[goType] = name
		d.commands[name] = func(body []byte) (Command[S], error) {
			var c C
			if err := decode(body, &c); err != nil {
				return nil, err
			}
			if d.strict && len(body) > 0 {
				if err := checkFields(body, goType); err != nil {
					return nil, err
				}
			}
			return c, nil
		}
	}
}

// Encode returns the wire name and the JSON of a command, as [Instance.Execute] takes them.
func (d *Definition[S]) Encode(c Command[S]) (name string, body []byte, err error) {
	name, ok := d.commandNames[reflect.TypeOf(c)]
	if !ok {
		return "", nil, &UnknownCommandError{Aggregate: d.name, Command: fmt.Sprintf("%T", c), Known: d.CommandNames()}
	}
	body, err = encode(c)
	if err != nil {
		return "", nil, &PayloadError{Aggregate: d.name, Command: name, Err: err}
	}
	return name, body, nil
}

// inWords describes an error of decoding in the words of JSON.
func inWords(err error) error {
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		field := "the value"
		if wrong.Field != "" {
			field = "field " + wrong.Field
		}
		return fmt.Errorf("%s: expected %s, got a JSON %s", field, kindName(wrong.Type), wrong.Value)
	}
	if _, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("not valid JSON: %w", err)
	}
	return err
}

// kindName describes a Go type in the words of JSON.
func kindName(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return "a whole number (" + t.Kind().String() + ")"
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "a whole number from 0 (" + t.Kind().String() + ")"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice, reflect.Array:
		return "an array"
	case reflect.Map, reflect.Struct:
		return "an object"
	default:
		return t.String()
	}
}
