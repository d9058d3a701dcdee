package lane_test

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/internal/lane"
	"github.com/maestro-es/maestro/internal/localpg"
	"github.com/maestro-es/maestro/projections"
	"github.com/maestro-es/maestro/protocol"
	"github.com/maestro-es/maestro/store"
)

// Wait is a command whose Decide takes its time.
type Wait struct{ For time.Duration }

func (c Wait) Decide(aggregate.Root[Tally]) ([]aggregate.Event[Tally], error) {
	<-time.After(c.For)
	return []aggregate.Event[Tally]{Added{By: 1}}, nil
}

var slowTally = aggregate.Define("tally", aggregate.Handles[Add]("add"), aggregate.Handles[Wait]("wait"), aggregate.Emits[Added]("added"))

// hasty gives a lane small budgets, so that a test takes little time.
func hasty(c *lane.Config) {
	c.Types = map[string]aggregate.Type{"tally": slowTally}
	c.Budgets = lane.Budgets{Attempt: 2 * time.Second, Turn: 100 * time.Millisecond, Projections: 500 * time.Millisecond,
		Spread: time.Second, Silence: 100 * time.Millisecond}
}

// sleeping returns a read model that sleeps for each event for the time in its note.
func sleeping(t *testing.T) lane.Projection {
	t.Helper()
	return projections.Define("sleeping", projections.Each(slowTally, func(ctx context.Context, tx pgx.Tx, e projections.Event[Added]) error {
		if e.Data.Note == "" {
			return nil
		}
		_, err := tx.Exec(ctx, "select pg_sleep($1::float)", e.Data.Note)
		return err
	}))
}

func slow(id, command, seconds string) *lane.Command {
	return &lane.Command{Key: key(id), ID: command, Name: "add", Body: body(Add{By: 1, Note: seconds})}
}

// All slow commands together take longer than an attempt may. Each alone does not.
func TestASlowBacklogIsHandledToItsEnd(t *testing.T) {
	for name, command := range map[string]func(i int) *lane.Command{
		"decide": func(int) *lane.Command {
			return &lane.Command{Name: "wait", Body: body(Wait{For: 20 * time.Millisecond})}
		},
		"projection": func(int) *lane.Command { return &lane.Command{Name: "add", Body: body(Add{By: 1, Note: "0.02"})} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, _ := postgres(t)
			r := newRig(t, s, hasty, func(c *lane.Config) {
				c.Projections = []lane.Projection{sleeping(t)}
				c.MaxBatch, c.Budgets.Attempt = 256, time.Second
			})
			const n = 200
			var commands []*lane.Command
			for i := range n {
				c := command(i)
				c.Key, c.ID = key(fmt.Sprint(i%7)), fmt.Sprint(i)
				commands = append(commands, at(uint64(i+1), c))
			}
			results := r.put(commands...)
			r.run()
			for i, result := range collect(results, n) {
				require.Equal(t, "committed", status(result.Outcome))
				require.EqualValues(t, i+1, result.Outcome.Position)
			}
		})
	}
}

// Only the command for which a read model takes too long is given up. Requests of other aggregates
// go on meanwhile.
func TestACommandThatIsTooSlowIsGivenUp(t *testing.T) {
	for name, queued := range map[string]bool{"in hand": false, "queued": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, pool := postgres(t)
			read := sleeping(t)
			if queued {
				read = projections.Define("sleeping", projections.Queue(slowTally, func(into *pgx.Batch, e projections.Event[Added]) error {
					if e.Data.Note != "" {
						into.Queue("select pg_sleep($1::float)", e.Data.Note)
					}
					return nil
				}))
			}
			r := newRig(t, s, hasty, func(c *lane.Config) { c.Projections = []lane.Projection{read} }).run()
			r.one(add("a", "0", 1))
			results := r.put(at(1, slow("a", "1", "")), at(2, slow("b", "2", "60")), at(3, slow("c", "3", "")))
			require.Equal(t, "committed", status((<-results).Outcome))
			require.Eventually(t, func() bool { return r.Stats().Doing.Attempts > 0 }, time.Minute, time.Millisecond)
			other := r.put(add("other", "4", 1))
			require.Equal(t, "committed", status((<-other).Outcome))
			require.Empty(t, results, "requests go on, the backlog keeps its order")
			require.Equal(t, "failed gave_up", status((<-results).Outcome))
			require.Equal(t, "committed", status((<-results).Outcome))
			var code string
			require.NoError(t, pool.QueryRow(t.Context(), "select code from maestro.dead_letters").Scan(&code))
			require.Equal(t, protocol.CodeGaveUp, code)
			require.Equal(t, "failed gave_up again", status(r.one(slow("b", "2", "60")).Outcome))
		})
	}
}

// slowCommits is a store whose commits are slow, as on a server with a slow disk.
type slowCommits struct {
	store.Store
	take atomic.Int64
}

func (s *slowCommits) Commit(ctx context.Context, c *store.Commit) error {
	select {
	case <-time.After(time.Duration(s.take.Load())):
	case <-ctx.Done():
		return ctx.Err()
	}
	return s.Store.Commit(ctx, c)
}

// While Postgres itself is slow, nothing is given up, however long that lasts.
func TestNothingIsGivenUpWhilePostgresIsSlow(t *testing.T) {
	t.Parallel()
	pg, _ := postgres(t)
	s := &slowCommits{Store: pg}
	s.take.Store(int64(100 * time.Millisecond)) // an empty commit takes more than a tenth of what projections may
	var tries atomic.Int64
	read := projections.Define("slow", projections.Each(slowTally, func(ctx context.Context, tx pgx.Tx, e projections.Event[Added]) error {
		if e.Data.Note == "" {
			return nil
		}
		if tries.Add(1) > 5 {
			return nil
		}
		_, err := tx.Exec(ctx, "select pg_sleep(60)")
		return err
	}))
	r := newRigAt(t, s, acquired(t, pg), nil, hasty, func(c *lane.Config) { c.Projections = []lane.Projection{read} }).run()
	require.Equal(t, "committed", status((<-r.put(at(1, slow("a", "1", "x")))).Outcome))
	require.Greater(t, tries.Load(), int64(5))
}

// history gives each aggregate the given number of events.
func history(t *testing.T, s store.Store, events int, ids ...string) {
	t.Helper()
	r := newRigAt(t, s, must(t, s), nil, plain).run()
	for i, id := range ids {
		for left := events; left > 0; left -= 1000 {
			result := <-r.put(&lane.Command{Key: key(id), ID: fmt.Sprintf("h%d-%d", i, left), Name: "add", Body: body(Add{By: 1, Times: min(left, 1000)})})
			require.Equal(t, "committed", status(result.Outcome))
		}
	}
	r.stop()
	require.NoError(t, <-r.stopped)
}

// limited is a store whose loads are cancelled by Postgres after a time.
type limited struct {
	store.Store
	loads *store.Postgres
}

func (l *limited) Load(ctx context.Context, partition int, queries []store.Query) ([]store.History, error) {
	return l.loads.Load(ctx, partition, queries)
}

func newLimited(t *testing.T, timeout string) *limited {
	t.Helper()
	url := localpg.Database(t)
	whole, err := store.Open(t.Context(), localpg.Pool(t, url), store.Options{Partitions: 1})
	require.NoError(t, err)
	t.Cleanup(whole.Close)
	cut := localpg.Pool(t, url, func(c *pgxpool.Config) { c.ConnConfig.RuntimeParams["statement_timeout"] = timeout })
	l := &limited{Store: whole}
	require.Eventually(t, func() bool { // the read itself may be cancelled
		loads, err := store.Open(t.Context(), cut, store.Options{Partitions: 1})
		if err == nil {
			l.loads = loads
			t.Cleanup(loads.Close)
		}
		return err == nil
	}, time.Minute, time.Millisecond)
	return l
}

// plain takes no snapshots, so that whole histories are read.
func plain(c *lane.Config) { c.Types = map[string]aggregate.Type{"tally": slowTally} }

func TestALoadThatTakesTooLongIsSplit(t *testing.T) {
	t.Parallel()
	s := newLimited(t, "20ms")
	acquired(t, s)
	var ids []string
	for i := range 30 {
		ids = append(ids, fmt.Sprint("cold", i))
	}
	history(t, s.Store, 2000, ids...)
	r := newRigAt(t, s, must(t, s), nil, plain)
	var commands []*lane.Command
	for _, id := range ids {
		commands = append(commands, add(id, "1", 1))
	}
	results := r.put(commands...)
	r.run()
	for _, result := range collect(results, len(ids)) {
		require.Equal(t, "committed", status(result.Outcome))
		require.EqualValues(t, 2001, result.Outcome.Sequence)
	}
}

// paging is a store in which the aggregate long cannot be loaded whole, as with a
// statement_timeout. The store blocks in the middle of its pages.
type paging struct {
	store.Store
	pages  atomic.Int32
	at, on chan struct{}
}

func (p *paging) Load(ctx context.Context, partition int, queries []store.Query) ([]store.History, error) {
	if i := slices.IndexFunc(queries, func(q store.Query) bool { return q.ID == "long" }); i >= 0 {
		if queries[i].Most == 0 {
			return nil, &store.Fault{Origin: store.OwnSQL, Err: &pgconn.PgError{Code: "57014"}}
		}
		if p.pages.Add(1) == 2 {
			close(p.at)
			<-p.on
		}
	}
	return p.Store.Load(ctx, partition, queries)
}

// One aggregate is too long for a statement, and is read in pages. This does not delay other
// aggregates, whether they come with it or later.
func TestALongAggregateIsLoadedPageByPage(t *testing.T) {
	eachStore(t, func(t *testing.T, log store.Store) {
		s := &paging{Store: log, at: make(chan struct{}), on: make(chan struct{})}
		acquired(t, s)
		history(t, s.Store, 20_000, "long")
		r := newRigAt(t, s, must(t, s), nil, plain, func(c *lane.Config) { c.Budgets.Turn = time.Minute })
		results := make(chan lane.Result, 4)
		put := func(commands ...*lane.Command) {
			for _, c := range commands {
				c.Done = func(result lane.Result) { results <- result }
				require.NoError(t, r.Submit(t.Context(), c))
			}
		}
		put(at(1, add("long", "1", 1)), add("long", "2", 1), add("short", "1", 1))
		r.run()
		<-s.at
		put(add("later", "1", 1))
		close(s.on)
		var answered []string
		for _, result := range collect(results, 4) {
			require.Equal(t, "committed", status(result.Outcome))
			answered = append(answered, fmt.Sprint(result.Outcome.ID, " ", result.Outcome.Sequence))
		}
		require.Equal(t, []string{"short 1", "later 1"}, answered[:2])
		require.ElementsMatch(t, []string{"long 20001", "long 20002"}, answered[2:])
		require.Greater(t, s.pages.Load(), int32(20))
	})
}

// Many duplicates want the state of a long aggregate. It is folded once for all of them, and other
// commands go on meanwhile.
func TestDuplicatesThatWantAStateShareOneFold(t *testing.T) {
	eachStore(t, func(t *testing.T, s store.Store) {
		acquired(t, s)
		history(t, s, 30_000, "long")
		counted := &counting{Store: s}
		r := newRigAt(t, counted, must(t, s), nil, plain, func(c *lane.Config) { c.MaxBatch = 256 }).run()
		release := r.hold()
		var again []*lane.Command
		for i := range 256 {
			left := 1000 * (1 + i%30)
			again = append(again, &lane.Command{Key: key("long"), ID: fmt.Sprintf("h0-%d", left), Name: "add", Body: body(Add{}), Return: lane.ReturnState})
		}
		results := r.put(again...)
		other := r.put(add("other", "1", 1))
		release()
		require.Equal(t, "committed", status((<-other).Outcome))
		for _, result := range collect(results, 256) {
			require.Equal(t, "committed again", status(result.Outcome))
			require.Equal(t, result.Outcome.Sequence, result.Instance.Sequence())
			require.EqualValues(t, result.Outcome.Sequence, result.Instance.Root().(aggregate.Root[Tally]).State.Total)
		}
		require.Less(t, counted.loads.Load(), int64(100), "not one for each")
	})
}

// Requests and backlog have half of the lane each, and a single aggregate cannot fill the queue.
func TestRequestsHaveTheirShareBesideABacklog(t *testing.T) {
	t.Parallel()
	s := &slowCommits{Store: store.NewMemory(1)}
	s.take.Store(int64(10 * time.Millisecond))
	r := newRigAt(t, s, acquired(t, s.Store), nil, func(c *lane.Config) { c.MaxBatch = 8 }).run()
	ctx, stop := context.WithCancel(t.Context())
	fed := make(chan struct{})
	go func() {
		defer close(fed)
		for i := uint64(1); r.Submit(ctx, at(i, add(fmt.Sprint(i%5), fmt.Sprint("d", i), 1))) == nil; i++ {
		}
	}()
	defer func() { stop(); <-fed }()
	require.Eventually(t, func() bool { return r.Stats().Backlog > 20 }, time.Minute, time.Millisecond)
	for i := 0; ; i++ { // one aggregate fills its share of the queue
		if err := r.Offer(add("hot", fmt.Sprint("h", i), 1)); err != nil {
			require.ErrorIs(t, err, lane.ErrBusy)
			break
		}
	}
	for i := range 100 {
		done := make(chan lane.Result, 1)
		c := add("other", fmt.Sprint("r", i), 1)
		c.Done = func(result lane.Result) { done <- result }
		require.NoError(t, r.Offer(c))
		require.Equal(t, "committed", status((<-done).Outcome))
	}
}

// A handler that does not return is named in the log.
func TestAHandlerThatDoesNotComeBackIsNamed(t *testing.T) {
	t.Parallel()
	lines := &lineLog{}
	r := newRig(t, store.NewMemory(1), hasty, func(c *lane.Config) { c.Logger = lines.logger() }).run()
	results := r.put(&lane.Command{Key: key("a"), ID: "1", Name: "wait", Body: body(Wait{For: time.Second})})
	require.Eventually(t, func() bool {
		return slices.ContainsFunc(lines.all(), func(line string) bool {
			return line == "a handler does not come back, its partition stands still aggregate=tally id=a command=wait"
		})
	}, time.Minute, time.Millisecond)
	doing := r.Stats().Doing
	if len(results) == 0 {
		require.Equal(t, lane.Deciding, doing.Step)
		require.Contains(t, doing.String(), "deciding command wait of tally a since ")
	}
	require.Equal(t, "committed", status((<-results).Outcome), "it is committed when it comes back, however late")
}
