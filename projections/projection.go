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
	queued   bool // all handlers are
	err      error
}

// eventName is what an event is called.
type eventName struct{ aggregate, event string }

// Option is a part of a projection: a handler, which [Each], [Batch] or [Queue] makes, or [Setup],
// [Version], [Using] or [SortedBy].
type Option func(*Projection)

// Define makes a projection of its handlers, at least one of them, and other options. A name is
// [a-z][a-z0-9_]*, and no longer than that the schema of its tables, <namespace>_<name>_<version>,
// has a name of up to 63 bytes.
//
// Several handlers take the events of a commit in the order of the log, and an event that several
// want in the order in which they are given here. They share the projection's tables and its name;
// what belongs to different tables is better defined apart.
//
// Mistakes are reported by [Projection.Err], and when a worker starts.
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

// Setup gives the SQL that creates what the projection writes to, in the schema of its tables. It
// runs each time a worker starts, under a lock: write "create table if not exists". For each table
// and view that is there afterwards, readers get a view in the schema <namespace>_read that shows
// its columns. Change what is in it only by adding: other columns are another [Version].
func Setup(sql string) Option {
	return func(p *Projection) { p.model.Setup += sql + "\n;" }
}

// Version tells versions of the projection apart, from 1 on, which is the default. Each has tables
// of its own: give another one when the tables are to have other columns, or other code makes their
// rows.
func Version(n int) Option { return func(p *Projection) { p.model.Version = n } }

// Using adds schemas to the search path of the projection's SQL, behind the schema of its tables:
// those of extensions that it needs, such as citext, or of tables of your own. Without it the
// search path is the projection's own schema and Postgres's pg_catalog. The schema of the log is
// refused.
func Using(schemas ...string) Option {
	return func(p *Projection) { p.model.Using = append(p.model.Using, schemas...) }
}

// SortedBy says which arguments of queued SQL, counted from 1, are the key of the row that a
// statement writes. What goes together in a transaction is then sent in the order of these keys,
// whichever events it comes from; statements with equal keys keep their order. So transactions that
// write the same rows lock them in one order, and none ends as a deadlock. All SQL of the
// projection must have its key there, a string, an integer or a UUID, and statements with different
// keys must write different rows.
func SortedBy(arguments ...int) Option { return func(p *Projection) { p.model.SortedBy = arguments } }

func (p *Projection) mistake(err error) { p.err = errors.Join(p.err, err) }

// Name is the projection's name.
func (p *Projection) Name() string { return p.model.Name }

// Model says what the projection's SQL belongs to.
func (p *Projection) Model() *store.ReadModel { return &p.model }

// Setup is the SQL that creates what the projection writes to.
func (p *Projection) Setup() string { return p.model.Setup }

// Err is what is wrong with the projection's definition.
func (p *Projection) Err() error {
	if p.err != nil {
		return fmt.Errorf("projection %q: %w", p.Name(), p.err)
	}
	return nil
}

// Wants tells whether the projection takes an aggregate type's events of a name.
func (p *Projection) Wants(aggregateType, event string) bool {
	return len(p.handlers[eventName{aggregateType, event}]) > 0
}

// Queued tells whether Queue gives all of the projection's SQL, which then needs no transaction in
// hand.
func (p *Projection) Queued() bool { return p.queued }

// Queue adds the SQL for an event that the projection wants to a batch.
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

// Project runs the projection on events in the order of the log, in a transaction that has the
// tables in its search path. A worker does that unless all handlers are queued; tests can do it for
// any. A [*store.HandlerError] says on which events it failed.
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

// together counts the events, from the first on, that one handler takes in one call.
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

// wanting are the handlers that want an event.
func (p *Projection) wanting(e store.Event) []*handler {
	return p.handlers[eventName{e.Aggregate.Type, e.Type}]
}

// guard runs the user's code, and makes an error of a panic.
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
