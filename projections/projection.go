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

// Projection keeps a read model. Make one with [Queued], [InTransaction] or [InTransactionBatch]; it is safe for concurrent use.
type Projection struct {
	name      string
	aggregate string
	events    map[string]bool
	setup     string
	batched   bool
	queue     func(into *pgx.Batch, event store.Event) error // nil unless the projection is queued
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

// define is a projection of the aggregate's events of type E, without what it does with them.
func define[S any, E aggregate.Event[S]](name string, of *aggregate.Definition[S], options []Option) *Projection {
	p := &Projection{name: name, aggregate: of.Name(), events: map[string]bool{}}
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
	for _, option := range options {
		option(p)
	}
	return p
}

// typed gives an event the user's type.
func typed[E any](e store.Event) (Event[E], error) {
	data, ok := e.Value.(E)
	if !ok {
		return Event[E]{}, fmt.Errorf("event %s %s has the Go type %T", e.Aggregate.Type, e.Type, e.Value)
	}
	return Event[E]{Event: e, Data: data}, nil
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

// Queued tells whether Queue gives the projection's SQL, which then needs no transaction in hand.
func (p *Projection) Queued() bool { return p.queue != nil }

// Queue adds the SQL for an event that the projection wants to a batch.
func (p *Projection) Queue(into *pgx.Batch, event store.Event) error {
	return p.guard(func() error { return p.queue(into, event) })
}

// Batched tells whether Project takes all events of a transaction in one call.
func (p *Projection) Batched() bool { return p.batched }

// Project runs the projection on events that it wants, in a transaction that has the tables in its search path. A worker does that for
// all but queued ones; tests can do it for any.
func (p *Projection) Project(ctx context.Context, tx pgx.Tx, events []store.Event) error {
	return p.guard(func() error { return p.project(ctx, tx, events) })
}

// guard runs the user's code, and makes an error of a panic.
func (p *Projection) guard(run func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &aggregate.PanicError{During: "projection " + p.name, Value: r, Stack: debug.Stack()}
		}
	}()
	if err := run(); err != nil {
		return fmt.Errorf("projection %q: %w", p.name, err)
	}
	return nil
}
