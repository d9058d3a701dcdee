package lane_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/internal/hlc"
	"github.com/maestro-es/maestro/internal/lane"
	"github.com/maestro-es/maestro/internal/localpg"
	"github.com/maestro-es/maestro/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Tally adds up numbers and keeps the last note.
type Tally struct {
	Total int
	Note  string
}

// Add leads to Times events (0 for one), or to none for By = 0.
type Add struct {
	By    int
	Note  string `json:",omitempty"`
	Times int    `json:",omitempty"`
}

// Added is the event of Add.
type Added struct {
	By   int
	Note string `json:",omitempty"`
}

// Do misbehaves: it rejects, fails, panics, returns an unregistered event or an event that panics.
type Do struct{ What, Why string }

type (
	bomb     struct{}
	stranger struct{}
	leaver   struct{}
)

func (c Add) Decide(aggregate.Root[Tally]) (events []aggregate.Event[Tally], err error) {
	if c.By != 0 {
		for range max(c.Times, 1) {
			events = append(events, Added{By: c.By, Note: c.Note})
		}
	}
	return events, nil
}

func (e Added) Evolve(t Tally) Tally { return Tally{Total: t.Total + e.By, Note: e.Note} }

func (c Do) Decide(aggregate.Root[Tally]) ([]aggregate.Event[Tally], error) {
	switch c.What {
	case "reject":
		return nil, aggregate.Reject("forbidden", "%s", c.Why)
	case "reject with":
		return nil, &aggregate.Rejection{Code: "forbidden", Details: json.RawMessage(c.Why)}
	case "fail":
		return nil, fmt.Errorf("broken: %s", c.Why)
	case "panic":
		panic(c.Why)
	case "exit":
		runtime.Goexit()
	case "leave":
		return []aggregate.Event[Tally]{leaver{}}, nil
	case "explode":
		return []aggregate.Event[Tally]{bomb{}}, nil
	}
	return []aggregate.Event[Tally]{stranger{}}, nil
}

func (bomb) Evolve(Tally) Tally       { panic("in Evolve") }
func (leaver) Evolve(t Tally) Tally   { runtime.Goexit(); return t }
func (stranger) Evolve(t Tally) Tally { return t }

var tally = aggregate.Define("tally", aggregate.SnapshotEvery[Tally](5),
	aggregate.Handles[Add]("add"), aggregate.Handles[Do]("do"),
	aggregate.Emits[Added]("added"), aggregate.Emits[bomb]("bomb"), aggregate.Emits[leaver]("leaver"))

func key(id string) store.Key { return store.Key{Type: "tally", ID: id} }

func body(command any) []byte {
	b, err := json.Marshal(command)
	if err != nil {
		panic(err)
	}
	return b
}

// add returns a request with a command id. do returns a request that goes wrong.
func add(id, command string, by int) *lane.Command {
	return &lane.Command{Key: key(id), ID: command, Name: "add", Body: body(Add{By: by})}
}

func do(id, command, what string) *lane.Command {
	return &lane.Command{Key: key(id), ID: command, Name: "do", Body: body(Do{What: what, Why: "because"})}
}

// at makes the command durable.
func at(sequence uint64, c *lane.Command) *lane.Command {
	c.Cursor = store.Cursor{StreamCreated: time.Unix(1, 0).UTC(), Sequence: sequence, Time: time.Unix(int64(sequence), 0).UTC()}
	c.Subject = "maestro.cmd.0.tally." + c.Key.ID + "." + c.Name
	return c
}

// eachStore runs a test on both stores, with one partition.
func eachStore(t *testing.T, test func(t *testing.T, s store.Store)) {
	t.Helper()
	t.Parallel()
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		test(t, store.NewMemory(1))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		s, _ := postgres(t)
		test(t, s)
	})
}

func postgres(t *testing.T) (*store.Postgres, *pgxpool.Pool) {
	t.Helper()
	pool := localpg.Pool(t, localpg.Database(t))
	s, err := store.Open(t.Context(), pool, store.Options{Partitions: 1})
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s, pool
}

// rig is a lane on a store, run like its owner runs it.
type rig struct {
	*testing.T
	*lane.Lane
	store   lane.Store
	at      store.Partition
	stop    context.CancelFunc
	stopped chan error // gets what Run returned, after the last snapshot was stored; then it is closed
}

// newRig makes a lane whose owner has just acquired the partition. The lane does not run yet, so
// that the commands submitted until run form one batch.
func newRig(t *testing.T, s store.Store, change ...func(*lane.Config)) *rig {
	t.Helper()
	at, err := s.Acquire(t.Context(), 0, t.Name())
	require.NoError(t, err)
	return newRigAt(t, s, at, nil, change...)
}

func newRigAt(t *testing.T, s lane.Store, at store.Partition, p lane.Publisher, change ...func(*lane.Config)) *rig {
	t.Helper()
	c := lane.Config{Store: s, Types: map[string]aggregate.Type{"tally": tally}, Clock: hlc.New(),
		Logger: slog.New(slog.DiscardHandler), Memory: lane.NewMemory(1<<20, 0), MaxBatch: 64, MaxEventBytes: func() int { return 10_000 }}
	for _, change := range change {
		change(&c)
	}
	if keeper, ok := s.(lane.SnapshotStore); ok {
		c.Snapshots = lane.NewSnapshots(keeper, c.Logger)
	}
	return &rig{T: t, Lane: lane.New(c, at, p), store: s, at: at, stopped: make(chan error, 1)}
}

// run starts the lane; it stops with the test.
func (r *rig) run() *rig {
	r.Helper()
	ctx, stop := context.WithCancel(context.Background())
	r.stop = stop
	go func() {
		defer close(r.stopped)
		var snapshots sync.WaitGroup
		storing, stopStoring := context.WithCancel(context.Background())
		if r.Snapshots != nil {
			snapshots.Go(func() { r.Snapshots.Run(storing) })
		}
		err := r.Lane.Run(ctx)
		stopStoring()
		snapshots.Wait()
		r.stopped <- err
	}()
	r.Cleanup(func() {
		stop()
		for range r.stopped { // until closed
		}
	})
	return r
}

// put queues commands. The channel gets their results in the order of the answers.
func (r *rig) put(commands ...*lane.Command) <-chan lane.Result {
	r.Helper()
	results := make(chan lane.Result, len(commands))
	for _, c := range commands {
		c.Done = func(result lane.Result) { results <- result }
		require.NoError(r, r.Submit(r.Context(), c))
	}
	return results
}

// batch handles the commands in one batch, and returns their results in the order of the commands.
func (r *rig) batch(commands ...*lane.Command) []lane.Result {
	r.Helper()
	release := r.hold()
	results := make([]lane.Result, len(commands))
	done := make(chan struct{}, len(commands))
	for i, c := range commands {
		c.Done = func(result lane.Result) { results[i] = result; done <- struct{}{} }
		require.NoError(r, r.Submit(r.Context(), c))
	}
	release()
	for range commands {
		<-done
	}
	return results
}

// one handles one command.
func (r *rig) one(c *lane.Command) lane.Result {
	r.Helper()
	return r.batch(c)[0]
}

// hold stops the lane in a read until release is called.
func (r *rig) hold() (release func()) {
	r.Helper()
	held, released := make(chan struct{}), make(chan struct{})
	require.NoError(r, r.SubmitRead(r.Context(), &lane.Read{Key: key("nobody"), Done: func(error) {},
		Look: func(aggregate.Instance) error { close(held); <-released; return nil }}))
	<-held
	return func() { close(released) }
}

// look reads an aggregate in its turn.
func (r *rig) look(id string, current bool) (root aggregate.Root[Tally], err error) {
	r.Helper()
	done := make(chan error, 1)
	require.NoError(r, r.SubmitRead(r.Context(), &lane.Read{Key: key(id), Current: current, Done: func(err error) { done <- err },
		Look: func(i aggregate.Instance) error { root = i.Root().(aggregate.Root[Tally]); return nil }}))
	err = <-done
	return root, err
}

// log returns the whole log.
func (r *rig) log() []store.Event {
	r.Helper()
	events, err := r.store.(store.Store).Log(r.Context(), 0, 0, 1_000_000)
	require.NoError(r, err)
	return events
}

// row returns the partition's row without the store's clock.
func (r *rig) row() store.Partition {
	r.Helper()
	row, err := r.store.Partition(r.Context(), 0)
	require.NoError(r, err)
	row.Clock = time.Time{}
	return row
}

// statuses returns the status, or the error's code, of each result.
func statuses(results []lane.Result) (s []string) {
	for _, r := range results {
		s = append(s, status(r.Outcome))
	}
	return s
}

func status(o store.Outcome) string {
	s := string(o.Status)
	if o.Error != nil {
		s += " " + o.Error.Code
	}
	if o.Duplicate {
		s += " again"
	}
	return s
}

func unmarshal(body []byte, into any) error { return json.Unmarshal(body, into) }

// nobodyLooks is a Look that ignores the aggregate.
func nobodyLooks(aggregate.Instance) error { return nil }

// lineLog keeps the logged lines, each with the aggregate, the command and the projection that it
// names.
type lineLog struct {
	mu    sync.Mutex
	lines []string
}

func (l *lineLog) logger() *slog.Logger { return slog.New(l) }

func (l *lineLog) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.lines)
}

func (l *lineLog) Enabled(context.Context, slog.Level) bool { return true }

func (l *lineLog) Handle(_ context.Context, r slog.Record) error {
	line := r.Message
	r.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "aggregate", "id", "command", "projection":
			line += " " + a.String()
		}
		return true
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line)
	return nil
}

func (l *lineLog) WithAttrs([]slog.Attr) slog.Handler { return l }
func (l *lineLog) WithGroup(string) slog.Handler      { return l }
