package aggregate

import (
	"encoding/json"
	"fmt"
)

// Type is a [Definition] without its state type. It is the seam between the user's types and the
// engine.
type Type interface {
	// Name returns the aggregate type's name on the wire.
	Name() string
	// Err returns what is wrong with the definition, or nil.
	Err() error
	// CommandNames and EventNames list the wire names in alphabetical order.
	CommandNames() []string
	EventNames() []string
	// SnapshotVersion returns the version of the snapshots that can be used.
	SnapshotVersion() int
	// SnapshotDue tells whether the policy asks for a snapshot when the sequence moves from one value
	// to another.
	SnapshotDue(from, to int64) bool
	// WhenIdle returns the policy for aggregates that nobody has asked for in a while.
	WhenIdle() Idle
	// New returns an aggregate without events.
	New(id string) Instance
	// Decode reads a stored event of any version as the user's type.
	Decode(Recorded) (any, error)
}

// Instance is one aggregate in memory. It is not safe for concurrent use.
type Instance interface {
	ID() string
	// Sequence returns the sequence of the last event that was applied.
	Sequence() int64
	// Root returns the aggregate as a value, a Root[S].
	Root() any
	// State returns the JSON of the state.
	State() (json.RawMessage, error)
	// Execute decides a command and applies the events that it leads to. The error is a *Rejection,
	// *UnknownCommandError, *PayloadError, *UnregisteredEventError, *EventError or *PanicError, or
	// the command's own error. After an error nothing has changed.
	Execute(command string, body []byte, metadata Metadata) ([]Decided, error)
	Replayer
	// Snapshot returns the state in its stored form.
	Snapshot() (Snapshot, error)
	// Bytes returns an estimate of the memory that the aggregate takes.
	Bytes() int
	// Clone returns an independent copy.
	Clone() Instance
}

// Replayer rebuilds an aggregate from its stored snapshot and events.
type Replayer interface {
	// Restore sets the state to that of a snapshot.
	Restore(Snapshot) error
	// Prepare decodes a stored event ahead of time, so that Apply need not. It keeps decoded events
	// that follow each other until the next Apply.
	Prepare(Recorded)
	// Apply evolves the state by stored events. Their sequences must follow the current sequence
	// without a gap. The error is an *EventError. After an error nothing has changed.
	Apply(events ...Recorded) error
}

// Decided is an event that a command led to, in its stored form and as the user's type, read back
// from the stored form.
type Decided struct {
	Recorded
	Value any
}

// SnapshotVersion returns the version of the snapshots that can be used.
func (d *Definition[S]) SnapshotVersion() int { return d.snapshots.version }

// New returns an aggregate without events.
func (d *Definition[S]) New(id string) Instance {
	i := &instance[S]{definition: d, id: id}
	if d.start == nil {
		return i
	}
	if err := i.begin(); err != nil {
		return unbegun[S]{i, err}
	}
	return i
}

type instance[S any] struct {
	definition *Definition[S]
	id         string
	sequence   int64
	state      S
	prepared   *prepared[S] // until the next Apply
}

func (i *instance[S]) ID() string      { return i.id }
func (i *instance[S]) Sequence() int64 { return i.sequence }
func (i *instance[S]) Root() any       { return i.root(Metadata{}) }
func (i *instance[S]) Clone() Instance { c := *i; return &c }

func (i *instance[S]) root(m Metadata) Root[S] {
	return Root[S]{ID: i.id, Sequence: i.sequence, State: i.state, Command: m}
}

func (i *instance[S]) State() (body json.RawMessage, err error) {
	defer catch(&err, "state of", i.definition.name, i.id)
	body, err = encode(i.state)
	if err != nil {
		return nil, fmt.Errorf("state of %s %q as JSON: %w", i.definition.name, i.id, err)
	}
	return body, nil
}

func (i *instance[S]) Execute(name string, body []byte, metadata Metadata) (_ []Decided, err error) {
	d := i.definition
	defer catch(&err, "command", d.name, name)
	decodeCommand, ok := d.commands[name]
	if !ok {
		return nil, &UnknownCommandError{Aggregate: d.name, Command: name, Known: d.CommandNames()}
	}
	command, err := decodeCommand(body)
	if err != nil {
		return nil, &PayloadError{Aggregate: d.name, Command: name, Err: err}
	}
	events, err := command.Decide(i.root(metadata))
	if err != nil || len(events) == 0 {
		return nil, err
	}
	decided := make([]Decided, len(events))
	state := i.state
	for n, e := range events {
		recorded, err := d.EncodeEvent(e, i.sequence+int64(n)+1)
		if err != nil {
			return nil, err
		}
		// Evolve by the stored event, not by the one that Decide returned, because every later replay
		// sees the stored one.
		stored, err := d.decodeEvent(recorded)
		if err != nil {
			return nil, err
		}
		state = stored.Evolve(state)
		decided[n] = Decided{Recorded: recorded, Value: stored}
	}
	i.state = state
	i.sequence += int64(len(events))
	return decided, nil
}

func (i *instance[S]) Snapshot() (s Snapshot, err error) {
	codec := i.definition.snapshots
	defer catch(&err, "snapshot of", i.definition.name, i.id)
	body, err := encode(codec.prepare(i.state))
	if err != nil {
		return Snapshot{}, fmt.Errorf("snapshot of %s %q: %w", i.definition.name, i.id, err)
	}
	return Snapshot{Sequence: i.sequence, Version: codec.version, Body: body}, nil
}

func (i *instance[S]) Restore(s Snapshot) (err error) {
	codec := i.definition.snapshots
	defer catch(&err, "restore of", i.definition.name, i.id)
	if s.Version != codec.version {
		return fmt.Errorf("snapshot of %s %q has version %d, not %d", i.definition.name, i.id, s.Version, codec.version)
	}
	state, err := codec.use(s.Body)
	if err != nil {
		return fmt.Errorf("snapshot of %s %q at sequence %d: %w", i.definition.name, i.id, s.Sequence, err)
	}
	i.state, i.sequence = state, s.Sequence
	return nil
}
