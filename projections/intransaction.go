package projections

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"runtime/debug"

	"github.com/jackc/pgx/v5"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/store"
)

// Event is a recorded event with its data as the user's type.
type Event[E any] struct {
	store.Event
	Data E
}

// Projection keeps a read model. Make one with [InTransaction] or [InTransactionBatch]; it is safe for concurrent use.
type Projection struct {
	name      string
	aggregate string
	events    map[string]bool
	setup     string
	batched   bool
	project   func(ctx context.Context, tx pgx.Tx, events []store.Event) error
	err       error
}

// Option is a part of a projection: [Setup].
type Option func(*Projection)

// Setup gives the SQL that creates what the projection writes to. It runs each time a worker starts, under a lock, with the
// namespace's schema first in the search path: write "create table if not exists".
func Setup(sql string) Option {
	return func(p *Projection) { p.setup = sql }
}

// InTransaction calls project for each event of type E of the aggregate, in the order of the log, in the transaction
// that commits it, with the namespace's schema first in the search path. If E is an interface, these are the events that
// implement it: all of them with E = aggregate.Event[S]. Project works in tx alone: the transaction may be rolled back and
// run again.
//
// An error refuses the command that led to the event, with nothing of it kept: an [aggregate.Reject] with its own code, a
// violated constraint of the read model as "constraint_violated", anything else as the failure "projection_failed". A fault
// of the moment, such as a lost connection, is tried again instead.
func InTransaction[S any, E aggregate.Event[S]](
	name string, of *aggregate.Definition[S],
	project func(ctx context.Context, tx pgx.Tx, e Event[E]) error, options ...Option,
) *Projection {
	return define[S, E](name, of, false, func(ctx context.Context, tx pgx.Tx, events []Event[E]) error {
		for _, e := range events {
			if err := project(ctx, tx, e); err != nil {
				return err
			}
		}
		return nil
	}, options)
}

// InTransactionBatch is [InTransaction] with all events of a transaction in one call, in the order of the log, and at least one:
// a read model that writes them with one statement costs one exchange with Postgres instead of one for each event. It runs
// after the projections that take one event at a time.
//
// An error does not say which event it is about. The batch is then tried in smaller parts until the command is found whose
// events alone fail, and only that one is refused: the same as with InTransaction, at the cost of some rounds.
func InTransactionBatch[S any, E aggregate.Event[S]](
	name string, of *aggregate.Definition[S],
	project func(ctx context.Context, tx pgx.Tx, events []Event[E]) error, options ...Option,
) *Projection {
	return define[S](name, of, true, project, options)
}

func define[S any, E aggregate.Event[S]](
	name string, of *aggregate.Definition[S], batched bool,
	project func(ctx context.Context, tx pgx.Tx, events []Event[E]) error, options []Option,
) *Projection {
	p := &Projection{name: name, aggregate: of.Name(), events: map[string]bool{}, batched: batched}
	goType := reflect.TypeFor[E]()
	for _, event := range of.EventNames() {
		if t, _ := of.EventType(event); t.AssignableTo(goType) {
			p.events[event] = true
		}
	}
	p.err = aggregate.CheckName("projection", name)
	if len(p.events) == 0 {
		p.err = errors.Join(p.err, fmt.Errorf("aggregate %q emits no event of type %s: add aggregate.Emits to its definition",
			of.Name(), goType))
	}
	p.project = func(ctx context.Context, tx pgx.Tx, events []store.Event) error {
		typed, err := typed[E](events)
		if err != nil {
			return err
		}
		return project(ctx, tx, typed)
	}
	for _, option := range options {
		option(p)
	}
	return p
}

// typed gives events the user's type.
func typed[E any](events []store.Event) ([]Event[E], error) {
	of := make([]Event[E], len(events))
	for i, e := range events {
		data, ok := e.Value.(E)
		if !ok {
			return nil, fmt.Errorf("event %s %s has the Go type %T", e.Aggregate.Type, e.Type, e.Value)
		}
		of[i] = Event[E]{Event: e, Data: data}
	}
	return of, nil
}

// Name is the projection's name.
func (p *Projection) Name() string { return p.name }

// Err is what is wrong with the projection's definition.
func (p *Projection) Err() error {
	if p.err != nil {
		return fmt.Errorf("projection %q: %w", p.name, p.err)
	}
	return nil
}

// Setup is the SQL that creates what the projection writes to.
func (p *Projection) Setup() string { return p.setup }

// Wants tells whether the projection takes an aggregate type's events of a name.
func (p *Projection) Wants(aggregateType, event string) bool {
	return aggregateType == p.aggregate && p.events[event]
}

// Batched tells whether the projection takes all events of a transaction in one call.
func (p *Projection) Batched() bool { return p.batched }

// Project runs the projection on events that it wants.
func (p *Projection) Project(ctx context.Context, tx pgx.Tx, events []store.Event) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &aggregate.PanicError{During: "projection " + p.name, Value: r, Stack: debug.Stack()}
		}
	}()
	if err := p.project(ctx, tx, events); err != nil {
		return fmt.Errorf("projection %q: %w", p.name, err)
	}
	return nil
}
