package projections

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/store"
)

// Event is a recorded event with its data as the user's type.
type Event[E any] struct {
	store.Event
	Data E
}

// Projection keeps a read model. Make one with [Define]; it is safe for concurrent use.
type Projection struct {
	model    store.ReadModel
	handlers map[eventName][]*handler
	queued   bool // all handlers are queued
	err      error
}

// eventName is the name of an event together with that of its aggregate type.
type eventName struct{ aggregate, event string }

// Option is a part of a projection: a handler made by [Each], [Batch] or [Queue], or one of
// [Setup], [Version], [Using] and [SortedBy].
type Option func(*Projection)

// Define makes a projection from at least one handler, and other options. A name is
// [a-z][a-z0-9_]*. The schema of its tables is <namespace>_<name>_<version>, and may have up to 63
// bytes.
//
// The handlers get the events of a commit in the order of the log. If several handlers want an
// event, they get it in the order in which they are given here. All handlers share the
// projection's tables and its name. Define separate projections for tables that have nothing to do
// with each other.
//
// [Projection.Err] reports mistakes, and so does a worker when it starts.
func Define(name string, options ...Option) *Projection {
	p := &Projection{model: store.ReadModel{Name: name, Version: 1}, handlers: map[eventName][]*handler{}, queued: true}
	p.mistake(aggregate.CheckName("projection", name))
	for _, option := range options {
		option(p)
	}
	if len(p.handlers) == 0 && p.err == nil {
		p.mistake(errors.New("it takes no events: give it a handler with projections.Queue, Each or Batch"))
	}
	if len(p.model.SortedBy) > 0 && !p.queued {
		p.mistake(errors.New("projections.SortedBy is about queued SQL: all of its handlers must be made with projections.Queue"))
	}
	p.mistake(p.model.Check(""))
	for event := range p.handlers {
		if !slices.Contains(p.model.Aggregates, event.aggregate) {
			p.model.Aggregates = append(p.model.Aggregates, event.aggregate)
		}
	}
	slices.Sort(p.model.Aggregates)
	return p
}

// Setup gives the SQL that creates the projection's tables, in the projection's own schema. It
// runs each time a worker starts, under a lock, so write "create table if not exists". For each
// table and view that is there afterwards, readers get a view in the schema <namespace>_read that
// shows its columns. Change the SQL only by adding to it. If the columns must change otherwise,
// use another [Version].
func Setup(sql string) Option {
	return func(p *Projection) { p.model.Setup += sql + "\n;" }
}

// Version tells versions of the projection apart. Versions count from 1, which is the default.
// Each version has tables of its own. Use another version when the tables get other columns, or
// when other code makes their rows.
func Version(n int) Option { return func(p *Projection) { p.model.Version = n } }

// Using adds schemas to the search path of the projection's SQL, behind the schema of its tables.
// These may be schemas of extensions that the SQL needs, such as citext, or of tables of your own.
// Without Using, the search path is the projection's own schema and Postgres's pg_catalog. The
// schema of the log is refused.
func Using(schemas ...string) Option {
	return func(p *Projection) { p.model.Using = append(p.model.Using, schemas...) }
}

// SortedBy says which arguments of queued SQL, counted from 1, are the key of the row that a
// statement writes. The statements of a transaction are then sent in the order of these keys,
// whichever events they come from. Statements with equal keys keep their order. Transactions that
// write the same rows therefore lock the rows in one order, and cannot deadlock.
//
// All SQL of the projection must have its key in these arguments: a string, an integer or a UUID.
// Statements with different keys must write different rows.
func SortedBy(arguments ...int) Option { return func(p *Projection) { p.model.SortedBy = arguments } }

func (p *Projection) mistake(err error) { p.err = errors.Join(p.err, err) }

// Name returns the projection's name.
func (p *Projection) Name() string { return p.model.Name }

// Model returns the read model that the projection's SQL belongs to.
func (p *Projection) Model() *store.ReadModel { return &p.model }

// Setup returns the SQL that creates the projection's tables.
func (p *Projection) Setup() string { return p.model.Setup }

// Err returns what is wrong with the projection's definition, or nil.
func (p *Projection) Err() error {
	if p.err != nil {
		return fmt.Errorf("projection %q: %w", p.Name(), p.err)
	}
	return nil
}

// Wants tells whether the projection takes the events with this name of this aggregate type.
func (p *Projection) Wants(aggregateType, event string) bool {
	return len(p.handlers[eventName{aggregateType, event}]) > 0
}

// Queued tells whether all handlers of the projection were made with [Queue]. Such a projection
// needs no transaction in hand.
func (p *Projection) Queued() bool { return p.queued }

// Queue adds to a batch the projection's SQL for an event. The projection must want the event.
func (p *Projection) Queue(into *pgx.Batch, event store.Event) error {
	return p.guard(func() error {
		for _, h := range p.wanting(event) {
			if err := h.queue(into, event); err != nil {
				return err
			}
		}
		return nil
	})
}

// Project runs the projection on events in the order of the log. The transaction must have the
// projection's tables in its search path. A worker calls Project unless all handlers are queued.
// Tests can call it for any projection. A [*store.HandlerError] says on which events it failed.
func (p *Projection) Project(ctx context.Context, tx pgx.Tx, events []store.Event) error {
	for first := 0; first < len(events); {
		n := p.together(events[first:])
		for _, h := range p.wanting(events[first]) {
			err := p.guard(func() error {
				if err := h.project(ctx, tx, events[first:first+n]); err != nil {
					return err
				}
				return store.CheckLent(tx)
			})
			if err != nil {
				return &store.HandlerError{First: first, Count: n, Err: err}
			}
		}
		first += n
	}
	return nil
}

// together returns how many events, from the first on, one handler takes in one call.
func (p *Projection) together(events []store.Event) int {
	first := p.wanting(events[0])
	if len(first) != 1 || !first[0].several {
		return 1
	}
	n := 1
	for ; n < len(events); n++ {
		if next := p.wanting(events[n]); len(next) != 1 || next[0] != first[0] {
			break
		}
	}
	return n
}

// wanting returns the handlers that want an event.
func (p *Projection) wanting(e store.Event) []*handler {
	return p.handlers[eventName{e.Aggregate.Type, e.Type}]
}

// guard runs the user's code, and turns a panic into an error.
func (p *Projection) guard(run func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &aggregate.PanicError{During: "projection " + p.Name(), Value: r, Stack: debug.Stack()}
		}
	}()
	if err := run(); err != nil {
		return fmt.Errorf("projection %q: %w", p.Name(), err)
	}
	return nil
}
