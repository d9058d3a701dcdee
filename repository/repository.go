package repository

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/internal/engine"
	"github.com/maestro-es/maestro/internal/hlc"
	"github.com/maestro-es/maestro/internal/lane"
	"github.com/maestro-es/maestro/internal/telemetry"
	"github.com/maestro-es/maestro/internal/wire"
	"github.com/maestro-es/maestro/projections"
	"github.com/maestro-es/maestro/store"
)

// Repository evaluates commands of one aggregate type on a store, as a plain library without NATS
// and without a worker. Any number of repositories and workers may use the same store. If one finds
// that another has written, it decides again. A Repository is safe for concurrent use.
type Repository[S any] struct {
	definition *aggregate.Definition[S]
	store      store.Store
	config     lane.Config
	ctx        context.Context //nolint:containedctx // the repository's own life, not a call's
	patience   time.Duration

	mu    sync.Mutex
	lanes map[int]*lane.Lane
}

// Config is the configuration of a repository. The zero value has all defaults.
type Config struct {
	// Node names this program in its logs. Two may have the same. Default: no name.
	Node string
	// CacheBytes is the memory for aggregates kept for the next command, by an estimate of their
	// size. Default 256 MiB.
	CacheBytes int64
	// CacheIdle is the time after which an aggregate that nobody has asked for is dropped from
	// memory, as its aggregate.WhenIdle says. With the default 0, aggregates are dropped only when
	// the memory is needed.
	CacheIdle time.Duration
	// Projections are read models that are kept in the transactions of the repository's commits.
	// Give all read models that workers keep of the aggregate type, because the repository refuses
	// to work without them. Projections need a store in Postgres.
	Projections []*projections.Projection
	// Logger gets what an operator must know. Default slog.Default().
	Logger *slog.Logger
	// Patience is how long a call whose context has no deadline waits for a database that is away
	// or broken. Default 30 s; negative for ever.
	Patience time.Duration
}

// UnknownError says that the outcome of a command is unknown. The command may have taken effect, or
// may still take effect. Evaluate it again with the same id to find out.
type UnknownError struct {
	// CommandID is the command's id. The repository chose it if the caller gave none.
	CommandID string
	// Err is why the outcome is unknown: the database's last error and, if ctx has ended, ctx's
	// error.
	Err error
}

func (e *UnknownError) Error() string {
	return fmt.Sprintf("the outcome of command %q is unknown, evaluate it again with this id: %s", e.CommandID, e.Err)
}

func (e *UnknownError) Unwrap() error { return e.Err }

// New returns the repository of an aggregate type. It works until ctx ends. After that, calls
// return an error.
//
// If workers keep read models of the aggregate type in the transactions of their commits, and the
// repository was not given them, it refuses with a [*ProjectionsError]. New returns this error, or
// a later call if such a worker has started since.
func New[S any](ctx context.Context, of *aggregate.Definition[S], on store.Store, c Config) (*Repository[S], error) {
	if err := of.Err(); err != nil {
		return nil, err
	}
	logger := cmp.Or(c.Logger, slog.Default())
	config := engine.Lanes(engine.Config{Aggregates: []aggregate.Type{of}, CacheBytes: c.CacheBytes, CacheIdle: c.CacheIdle, Logger: logger,
		IntakeBytes: -1, Projections: c.Projections}) // no limit, because callers hold their commands anyway
	config.Store, config.Snapshots = on, lane.NewSnapshots(on, logger).Within(config.Memory)
	if c.Node != "" {
		config.Logger = logger.With("node", c.Node)
	}
	r := &Repository[S]{definition: of, store: on, config: config, lanes: map[int]*lane.Lane{},
		ctx: ctx, patience: cmp.Or(c.Patience, defaultPatience)}
	if log, is := on.(*store.Postgres); is {
		if err := engine.SetUp(ctx, log, c.Projections); err != nil {
			return nil, err
		}
	} else if len(c.Projections) > 0 {
		return nil, errors.New("repository.Config.Projections needs a store in Postgres: open it with store.Open")
	}
	if err := r.checkKept(ctx); err != nil {
		return nil, err
	}
	go config.Snapshots.Run(ctx)
	return r, nil
}

// Evaluation says how to evaluate a command. The zero value gives the command a fresh id.
type Evaluation struct {
	// CommandID is the command's id. The same id on the same aggregate takes effect once. Default:
	// a fresh one.
	CommandID string
	// ExpectSequence, if not nil, rejects the command when the aggregate is at another sequence.
	ExpectSequence *int64
	// CorrelationID and CausationID are kept with the events.
	CorrelationID, CausationID string
	// Return says what the result holds besides the outcome.
	Return Return
}

// check refuses ids that no store could take.
func (e Evaluation) check() error {
	for what, id := range map[string]string{"command id": e.CommandID, "correlation id": e.CorrelationID, "causation id": e.CausationID} {
		if err := wire.CheckText(id); err != nil {
			return fmt.Errorf("%s %w", what, err)
		}
	}
	return nil
}

// Return says what the result of an evaluation holds besides the outcome.
type Return uint8

// What a result can hold.
const (
	ReturnNone   = Return(lane.ReturnNone)
	ReturnEvents = Return(lane.ReturnEvents)
	ReturnState  = Return(lane.ReturnState)
)

// Result is the result of an evaluated command.
type Result[S any] struct {
	// Outcome tells the status, the sequence and the place in the log.
	Outcome store.Outcome
	// Events are the command's events in order, as they read back from the log. They are set only
	// for ReturnEvents.
	Events []aggregate.Event[S]
	// Root is the aggregate right after the command. It is set only for ReturnState.
	Root aggregate.Root[S]
}

// New returns a fresh aggregate id: a UUID of version 7.
func (r *Repository[S]) New() string { return hlc.NewID() }

// Evaluate decides a command on an aggregate's current state and commits its events. On a conflict
// with another writer it decides again.
//
// For a refused command it returns an *aggregate.Rejection or another error of package aggregate.
// If the command id is known, it returns the first outcome again; a refusal is then a *store.Error.
// A *UnknownError means that the outcome is unknown: try again with the command id in the error.
// After any other error nothing has happened.
func (r *Repository[S]) Evaluate(ctx context.Context, id string, command aggregate.Command[S], e Evaluation) (Result[S], error) {
	name, body, err := r.definition.Encode(command)
	if err != nil {
		return Result[S]{}, err
	}
	if err := errors.Join(aggregate.CheckID(id), e.check()); err != nil {
		return Result[S]{}, err
	}
	if e.CommandID == "" {
		e.CommandID = r.New()
	}
	var result lane.Result
	submitted := false
	traceparent, tracestate := telemetry.Inject(ctx)
	ctx, cancel := r.patient(ctx)
	defer cancel()
	err = r.inTurn(ctx, id, func(l *lane.Lane) error {
		done := make(chan lane.Result, 1)
		err := l.Submit(ctx, &lane.Command{Key: r.key(id), ID: e.CommandID, Name: name, Body: body,
			CorrelationID: e.CorrelationID, CausationID: e.CausationID, Return: lane.Return(e.Return),
			Traceparent: traceparent, Tracestate: tracestate, ExpectSequence: e.ExpectSequence, Done: func(r lane.Result) { done <- r }})
		if err != nil {
			return err
		}
		submitted = true
		select {
		case <-ctx.Done():
			return lastWords(ctx, l)
		case result = <-done:
			return stoppedOnly(result.Err)
		}
	})
	if err != nil && submitted {
		return Result[S]{Outcome: result.Outcome}, &UnknownError{CommandID: e.CommandID, Err: err}
	}
	if err = cmp.Or(err, result.Err); err != nil {
		return Result[S]{Outcome: result.Outcome}, err
	}
	return r.typed(result)
}

// stoppedOnly returns err if it asks for another lane, and otherwise nil.
func stoppedOnly(err error) error {
	if errors.Is(err, lane.ErrStopped) {
		return err
	}
	return nil
}

// typed converts a result to the user's types.
func (r *Repository[S]) typed(from lane.Result) (Result[S], error) {
	result := Result[S]{Outcome: from.Outcome}
	for _, e := range from.Events {
		value, err := r.definition.Decode(e.Recorded)
		if err != nil {
			return result, err
		}
		result.Events = append(result.Events, value.(aggregate.Event[S]))
	}
	if from.Instance != nil {
		result.Root = from.Instance.Root().(aggregate.Root[S])
	}
	return result, nil
}

// Get returns an aggregate as this repository last knew it, which may be stale.
func (r *Repository[S]) Get(ctx context.Context, id string) (aggregate.Root[S], error) {
	return r.read(ctx, id, false)
}

// Fetch returns an aggregate as it is now in the log.
func (r *Repository[S]) Fetch(ctx context.Context, id string) (aggregate.Root[S], error) {
	return r.read(ctx, id, true)
}

func (r *Repository[S]) read(ctx context.Context, id string, current bool) (root aggregate.Root[S], err error) {
	err = r.turn(ctx, id, current, func(i aggregate.Instance) error {
		root = i.Root().(aggregate.Root[S])
		return nil
	})
	return root, err
}

// Call runs look on the current aggregate in the aggregate's turn, so no command on it is decided
// meanwhile in this repository. look must only read, and may run more than once. Call returns
// look's error, or an *aggregate.PanicError if look panics.
func (r *Repository[S]) Call(ctx context.Context, id string, look func(aggregate.Root[S]) error) error {
	return r.turn(ctx, id, true, func(i aggregate.Instance) (err error) {
		defer func() {
			if p := recover(); p != nil {
				err = &aggregate.PanicError{During: "call on " + r.definition.Name() + " " + id, Value: p, Stack: debug.Stack()}
			}
		}()
		return look(i.Root().(aggregate.Root[S]))
	})
}

// turn calls look with an aggregate in its turn, as it is now or as it was last known.
func (r *Repository[S]) turn(ctx context.Context, id string, current bool, look func(aggregate.Instance) error) error {
	if err := aggregate.CheckID(id); err != nil {
		return err
	}
	ctx, cancel := r.patient(ctx)
	defer cancel()
	return r.inTurn(ctx, id, func(l *lane.Lane) error {
		done := make(chan error, 1)
		err := l.SubmitRead(ctx, &lane.Read{Key: r.key(id), Current: current, Look: look, Done: func(err error) { done <- err }})
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return lastWords(ctx, l)
		case err := <-done:
			return err
		}
	})
}

// defaultPatience is how long a call without a deadline waits.
const defaultPatience = 30 * time.Second

// patient gives a call without a deadline the repository's patience as its deadline.
func (r *Repository[S]) patient(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, bounded := ctx.Deadline(); bounded || r.patience < 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, r.patience)
}

// lastWords returns the error of a call that ended before its turn came, with the problem of the
// lane.
func lastWords(ctx context.Context, l *lane.Lane) error {
	if problem := l.Stats().Doing.Problem; problem != "" {
		return fmt.Errorf("%w: %s", ctx.Err(), problem)
	}
	return ctx.Err()
}

// Replay returns an aggregate as it was at a sequence. It returns an error if the aggregate has not
// reached that sequence.
func (r *Repository[S]) Replay(ctx context.Context, id string, sequence int64) (aggregate.Root[S], error) {
	if sequence <= 0 {
		return r.definition.New(id).Root().(aggregate.Root[S]), nil
	}
	i, err := r.config.Memory.Replay(ctx, r.store, r.definition, r.partition(id), id, sequence)
	if err != nil {
		return aggregate.Root[S]{}, err
	}
	if i.Sequence() < sequence {
		return aggregate.Root[S]{}, &aggregate.SequenceMismatchError{Aggregate: r.definition.Name(), ID: id,
			Expected: sequence, Actual: i.Sequence()}
	}
	return i.Root().(aggregate.Root[S]), nil
}

// Snapshot stores a snapshot of the current aggregate, so that later loads begin there.
func (r *Repository[S]) Snapshot(ctx context.Context, id string) error {
	i, err := r.config.Memory.Replay(ctx, r.store, r.definition, r.partition(id), id, 0)
	if err != nil {
		return err
	}
	snapshot, err := i.Snapshot()
	if err != nil {
		return err
	}
	ctx, cancel := r.patient(ctx)
	defer cancel()
	return r.retry(ctx, func() error {
		return r.store.SaveSnapshots(ctx, r.partition(id), []store.Snapshot{{Aggregate: r.key(id), Snapshot: snapshot}})
	})
}
