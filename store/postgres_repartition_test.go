package store_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/internal/wire"
	"github.com/maestro-es/maestro/store"
)

func TestRepartitionMovesEverythingAndLosesNothing(t *testing.T) {
	t.Parallel()
	for name, variant := range map[string]struct {
		store.Options
		mode pgx.QueryExecMode
	}{
		"plain tables":                {},
		"event partitions":            {Options: store.Options{EventPartitions: 3}},
		"an odd name":                 {Options: store.Options{Namespace: `select "a's" `}},
		"without prepared statements": {mode: pgx.QueryExecModeExec},
		"the simple protocol":         {mode: pgx.QueryExecModeSimpleProtocol},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := variant.Options
			r := newRepartitioned(t, newPool(t, func(c *pgxpool.Config) {
				c.ConnConfig.DefaultQueryExecMode = cmp.Or(variant.mode, c.ConnConfig.DefaultQueryExecMode)
			}), o)
			r.fill(open(t, r.pool, store.Options{Namespace: o.Namespace, Partitions: 64, EventPartitions: o.EventPartitions}))
			contents, want := r.contents(), r.order(64)
			for _, n := range []int{16, 100, 1, 64} {
				former := r.epochs()
				require.NoError(t, r.to(n))
				require.Equal(t, contents, r.contents(), "apart from their place, all rows are as they were")
				require.Equal(t, r.sorted(want, n), r.order(n))
				r.checkPlaces(n)
				require.Greater(t, slices.Min(r.epochs()), slices.Max(former))
				want = r.order(n)
			}
		})
	}
}

func TestWorkGoesOnAfterRepartition(t *testing.T) {
	t.Parallel()
	r := newRepartitioned(t, newPool(t), store.Options{})
	former := open(t, r.pool, store.Options{Partitions: 4})
	r.fill(former)
	first, err := former.Acquire(t.Context(), 0, "former")
	require.NoError(t, err)
	require.NoError(t, r.to(2))

	s := open(t, r.pool, store.Options{})
	require.Equal(t, 2, s.Partitions())
	for p := range 2 {
		at, err := s.Acquire(t.Context(), p, "next")
		require.NoError(t, err)
		require.Equal(t, store.Cursor{}, at.Cursor)
		require.Zero(t, at.Published)
		log, err := s.Log(t.Context(), p, at.Position-1, 1)
		require.NoError(t, err)
		require.Equal(t, log[0].RecordedAt, at.Time, "a clock goes on from here")
		last := log[0]
		last.Position, last.Sequence = at.Position+1, r.length(last.Aggregate)+1
		require.NoError(t, s.Commit(t.Context(), &store.Commit{Partition: p, Epoch: at.Epoch, Position: at.Position, Time: at.Time, Events: []store.Event{last}}))
	}

	// A process that opened the namespace before the change does no harm.
	var mismatch *store.PartitionsError
	require.ErrorIs(t, former.Commit(t.Context(), &store.Commit{Epoch: first.Epoch, Position: first.Position, Time: first.Time}), store.ErrFenced)
	_, err = former.Partition(t.Context(), 0)
	require.ErrorAs(t, err, &mismatch)
	_, err = former.Rows(t.Context())
	require.ErrorAs(t, err, &mismatch)
	_, err = former.Acquire(t.Context(), 0, "former")
	require.ErrorAs(t, err, &mismatch)
	require.ErrorContains(t, err, `namespace "maestro" has 2 partitions, not 4`)
}

// Each call is killed one statement later than the call before it, in front of the statement or in
// its middle.
func TestRepartitionMayBeKilledAtEveryStatement(t *testing.T) {
	t.Parallel()
	for _, delay := range []time.Duration{0, time.Millisecond} {
		t.Run(delay.String(), func(t *testing.T) {
			t.Parallel()
			k := &killer{delay: delay}
			r := newRepartitioned(t, newPool(t, func(c *pgxpool.Config) { c.ConnConfig.Tracer = k }), store.Options{})
			r.fill(open(t, r.pool, store.Options{Partitions: 8}))
			contents, from, to := r.contents(), 8, 5
			for kills := 0; ; kills++ {
				before := r.order(from)
				after := r.sorted(before, to)
				ctx, cancel := context.WithCancel(t.Context())
				k.arm(kills+1, cancel)
				err := store.Repartition(ctx, r.pool, store.Options{Partitions: to}, nothingToDo, nothingToDo)
				killed := k.disarm()
				cancel()
				require.Equal(t, contents, r.contents())
				opened, openErr := store.Open(t.Context(), r.pool, store.Options{})
				if openErr == nil {
					opened.Close()
				}
				switch {
				case r.partitions() == from:
					require.Error(t, err)
					require.NoError(t, openErr, "nothing has happened: anybody may work")
					require.Equal(t, before, r.order(from))
				case openErr != nil:
					require.Error(t, err)
					require.ErrorIs(t, openErr, store.ErrMaintenance)
				}
				require.NoError(t, r.to(to))
				require.Equal(t, after, r.order(to))
				r.checkPlaces(to)
				if !killed {
					require.NoError(t, err)
					require.Greater(t, kills, 20, "all statements were gone through")
					return
				}
				from, to = to, from
			}
		})
	}
}

func TestAStatementThatFailsLeavesAllAsItWas(t *testing.T) {
	t.Parallel()
	r := newRepartitioned(t, newPool(t), store.Options{})
	r.fill(open(t, r.pool, store.Options{Partitions: 8}))
	contents, before := r.contents(), r.order(8)
	r.exec(`create function full_disk() returns trigger language plpgsql as $$ begin raise exception 'no space left'; end $$`)
	r.exec(`create trigger full_disk before insert on maestro.partitions execute function full_disk()`)
	require.ErrorContains(t, r.to(5), "no space left")
	require.Equal(t, contents, r.contents())
	require.Equal(t, before, r.order(8))
	r.exec(`drop trigger full_disk on maestro.partitions`)
	require.NoError(t, r.to(5))
	r.checkPlaces(5)
}

func TestUntilAllIsRebuiltNobodyWorks(t *testing.T) {
	t.Parallel()
	r := newRepartitioned(t, newPool(t), store.Options{})
	r.fill(open(t, r.pool, store.Options{Partitions: 4}))
	failure := errors.New("the broker is away")
	drains := 0
	drain := func(_ context.Context, s *store.Postgres) error {
		require.Equal(t, 4, s.Partitions())
		drains++
		return nil
	}
	rebuild := func(result error) func(context.Context, *store.Postgres) error {
		return func(ctx context.Context, s *store.Postgres) error {
			require.Equal(t, 6, s.Partitions())
			row, err := s.Partition(ctx, 5)
			require.NoError(t, err, "it can be read")
			require.Equal(t, 5, row.Number)
			_, err = s.Acquire(ctx, 5, "too early")
			require.ErrorIs(t, err, store.ErrMaintenance)
			return result
		}
	}
	six := store.Options{Partitions: 6}
	require.ErrorIs(t, store.Repartition(t.Context(), r.pool, six, drain, rebuild(failure)), failure)
	_, err := store.Open(t.Context(), r.pool, store.Options{})
	require.ErrorIs(t, err, store.ErrMaintenance)
	require.ErrorContains(t, err, "finish with `worker repartition --partitions 6`")
	require.ErrorIs(t, r.to(7), store.ErrMaintenance, "first things first")

	require.NoError(t, store.Repartition(t.Context(), r.pool, six, drain, rebuild(nil)))
	require.Equal(t, 1, drains, "what waits now is for the new partitions")
	require.Equal(t, 6, open(t, r.pool, store.Options{}).Partitions())
	require.NoError(t, store.Repartition(t.Context(), r.pool, six, nil, nil), "there is nothing to do")
}

func TestRepartitionRefuses(t *testing.T) {
	t.Parallel()
	r := newRepartitioned(t, newPool(t), store.Options{})
	require.ErrorContains(t, r.to(4), `there is no namespace "maestro"`)
	r.fill(open(t, r.pool, store.Options{Partitions: 8}))
	before := r.order(8)
	require.ErrorContains(t, r.to(0), "say how many")
	require.ErrorContains(t, r.to(-1), "expected 1 to")

	busy := errors.New("there is work to do")
	err := store.Repartition(t.Context(), r.pool, store.Options{Partitions: 4},
		func(context.Context, *store.Postgres) error { return busy }, nothingToDo)
	require.ErrorIs(t, err, busy)

	err = store.Repartition(t.Context(), r.pool, store.Options{Partitions: 4}, func(ctx context.Context, s *store.Postgres) error {
		_, err := s.Acquire(ctx, 3, "a worker that starts")
		return err
	}, nothingToDo)
	require.ErrorContains(t, err, "a worker has started in the meantime")
	require.Equal(t, before, r.order(8))
	require.Equal(t, 8, open(t, r.pool, store.Options{}).Partitions())
}

func TestOnlyOneRepartitionAtATime(t *testing.T) {
	t.Parallel()
	r := newRepartitioned(t, newPool(t), store.Options{})
	r.fill(open(t, r.pool, store.Options{Partitions: 8}))
	var inside sync.Mutex
	var group sync.WaitGroup
	for n := 2; n < 6; n++ {
		alone := func(context.Context, *store.Postgres) error {
			if !inside.TryLock() {
				return errors.New("two at once")
			}
			return nil
		}
		done := func(context.Context, *store.Postgres) error { inside.Unlock(); return nil }
		group.Go(func() {
			if err := store.Repartition(t.Context(), r.pool, store.Options{Partitions: n}, alone, done); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	r.checkPlaces(r.partitions())
}

func TestAFrozenOwnerDoesNotHoldRepartitionUp(t *testing.T) {
	t.Parallel()
	r := newRepartitioned(t, newPool(t), store.Options{})
	s := open(t, r.pool, store.Options{Partitions: 8})
	frozen, thaw, committed := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	c := commitOf()
	c.Handlers = handling(func(context.Context, pgx.Tx) error {
		close(frozen)
		<-thaw
		return nil
	})
	go func() { committed <- s.Commit(t.Context(), c) }()
	<-frozen
	require.NoError(t, r.to(3))
	close(thaw)
	require.Error(t, <-committed)
	require.Equal(t, nothing, rowCounts(t, r.pool))
}

// There are more aggregates than the program handles at a time.
func TestRepartitionOfManyAggregates(t *testing.T) {
	t.Parallel()
	r := newRepartitioned(t, newPool(t), store.Options{})
	open(t, r.pool, store.Options{Partitions: 1})
	const many = 25_000
	r.exec(`insert into maestro.log select 0, i, 'counter', i, 1, 'incremented', 1, 1, '{}', '{}', now() from generate_series(1, $1::int) i`, many)
	require.NoError(t, r.to(7))
	r.checkPositions(7)
	require.Len(t, slices.Concat(r.order(7)...), many)
}

// Times that go back, which no worker writes, must not change the order of an aggregate's events.
func TestRepartitionKeepsTheOrderOfAnOddHistory(t *testing.T) {
	t.Parallel()
	r := newRepartitioned(t, newPool(t), store.Options{})
	s := open(t, r.pool, store.Options{Partitions: 1})
	var events []store.Event
	for i := range int64(50) {
		key := store.Key{Type: "counter", ID: fmt.Sprint(i % 5)}
		events = append(events, store.Event{Position: i + 1, Aggregate: key, RecordedAt: someTime.Add(time.Duration(i*37%50) * time.Second),
			Recorded: aggregate.Recorded{Sequence: i/5 + 1, Type: "incremented", Version: 1, Body: []byte(`{}`)}})
	}
	require.NoError(t, s.Commit(t.Context(), &store.Commit{Events: events}))
	require.NoError(t, r.to(3))
	r.checkPositions(3)
}

// A time from the future does not count. The events after it in its old partition are not put
// behind all later events of the other partitions, and the new partition does not continue from
// that time.
func TestRepartitionLeavesTheFutureBehind(t *testing.T) {
	t.Parallel()
	r := newRepartitioned(t, newPool(t), store.Options{})
	s := open(t, r.pool, store.Options{Partitions: 2})
	future, odd := someTime.AddDate(64, 0, 0), []int{0, 0}
	for i := range int64(40) {
		key := store.Key{Type: "counter", ID: fmt.Sprint(i % 10)}
		p := wire.Partition(key.Type, key.ID, 2)
		row, err := s.Acquire(t.Context(), p, "filler")
		require.NoError(t, err)
		at := someTime.Add(time.Duration(i) * time.Second)
		if odd[p]++; p == 0 && odd[p] == 5 {
			at = future
		}
		command := fmt.Sprint("c-", i)
		require.NoError(t, s.Commit(t.Context(), &store.Commit{Partition: p, Epoch: row.Epoch, Position: row.Position, Time: row.Time,
			Events: []store.Event{{Position: row.Position + 1, Aggregate: key, RecordedAt: at, Metadata: store.Metadata{CommandID: command},
				Recorded: aggregate.Recorded{Sequence: i/10 + 1, Type: "incremented", Version: 1, Body: []byte(`{}`)}}},
			Receipts: []store.Receipt{ // its time is from another clock
				{Aggregate: key, CommandID: command, Status: store.Committed, Sequence: i/10 + 1, Position: row.Position + 1, Events: 1,
					At: at.Add(time.Duration(i-20) * 24 * time.Hour)},
				{Aggregate: key, CommandID: "none-" + command, Status: store.Rejected, Sequence: i/10 + 1, Position: row.Position + 1,
					At: at.Add(-time.Hour)}}}))
	}
	before := time.Now()
	require.NoError(t, r.to(3))
	r.checkPositions(3)
	misplaced := list[string](r, `select r.command_id from maestro.receipts r left join maestro.events e using (partition, position)
		where r.events > 0 and (e.aggregate_type, e.aggregate_id, e.sequence) is distinct from (r.aggregate_type, r.aggregate_id, r.sequence)`)
	require.Empty(t, misplaced, "a receipt is where the last of its events is")
	early := list[string](r, `select r.command_id from maestro.receipts r join maestro.events e
		on (e.partition, e.aggregate_type, e.aggregate_id, e.sequence) = (r.partition, r.aggregate_type, r.aggregate_id, r.sequence)
		where r.position < e.position`)
	require.Empty(t, early, "none is before what the command saw of its aggregate")
	require.Len(t, list[int64](r, `select position from maestro.events where recorded_at = $1`, future), 1, "events keep their times")
	for _, at := range list[time.Time](r, `select recorded_at from maestro.partitions where recorded_at is not null`) {
		require.Less(t, at.Sub(before), 2*time.Minute)
	}
}

// nothingToDo stands for a broker in which nothing waits.
func nothingToDo(context.Context, *store.Postgres) error { return nil }

// repartitioned is a namespace under test.
type repartitioned struct {
	*testing.T
	pool    *pgxpool.Pool
	options store.Options
	schema  string
}

func newRepartitioned(t *testing.T, pool *pgxpool.Pool, o store.Options) *repartitioned {
	name := o.Namespace
	if name == "" {
		name = "maestro"
	}
	return &repartitioned{T: t, pool: pool, options: o, schema: pgx.Identifier{name}.Sanitize() + "."}
}

func (r *repartitioned) to(partitions int) error {
	return store.Repartition(r.Context(), r.pool, store.Options{Namespace: r.options.Namespace, Partitions: partitions}, nothingToDo, nothingToDo)
}

func (r *repartitioned) exec(sql string, args ...any) {
	r.Helper()
	_, err := r.pool.Exec(r.Context(), sql, args...)
	require.NoError(r, err)
}

var someTime = time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)

// fill commits every kind of outcome for 60 aggregates: commands with several events, with none,
// rejected ones, snapshots and dead letters. In each round all aggregates have the same times,
// whatever their partition.
func (r *repartitioned) fill(s *store.Postgres) {
	r.Helper()
	for round := range int64(4) {
		at := someTime.Add(time.Duration(round) * time.Second)
		for i := range 60 {
			key := store.Key{Type: []string{"counter", "account"}[i%2], ID: fmt.Sprint("id-", i/2)}
			p := wire.Partition(key.Type, key.ID, s.Partitions())
			row, err := s.Acquire(r.Context(), p, "filler")
			require.NoError(r, err)
			c := &store.Commit{Partition: p, Epoch: row.Epoch, Position: row.Position, Time: row.Time, Published: row.Position,
				Cursor: store.Cursor{Sequence: uint64(i) + 1, Time: at, StreamCreated: someTime}}
			for n := range round {
				c.Events = append(c.Events, store.Event{Position: row.Position + n + 1, Aggregate: key, RecordedAt: at,
					Metadata: store.Metadata{CommandID: fmt.Sprint("c-", round)},
					Recorded: aggregate.Recorded{Sequence: round*(round-1)/2 + n + 1, Type: "incremented", Version: 1,
						Body: fmt.Appendf(nil, `{"by": %d}`, n)}})
			}
			end, sequence := row.Position+round, round*(round+1)/2
			c.Receipts = []store.Receipt{
				{Aggregate: key, CommandID: fmt.Sprint("c-", round), Status: store.Committed, Sequence: sequence, Position: end,
					Events: int(round), At: at},
				{Aggregate: key, CommandID: fmt.Sprint("r-", round), Status: store.Rejected, Sequence: sequence, Position: end,
					Error: &store.Error{Code: "no", Message: "n o"}, At: at.Add(500 * time.Millisecond)},
			}
			c.DeadLetters = []store.DeadLetter{{ID: fmt.Sprint("d-", round, "-", i), At: at,
				Subject: fmt.Sprintf("%s.cmd.%d.%s.%s.increment", r.options.Namespace, p, key.Type, key.ID)}}
			require.NoError(r, s.Commit(r.Context(), c))
			require.NoError(r, s.SaveSnapshots(r.Context(), p, []store.Snapshot{
				{Aggregate: key, Snapshot: aggregate.Snapshot{Sequence: sequence, Version: 1, Body: []byte(`{"a": 1}`)}}}))
		}
	}
	row, err := s.Partition(r.Context(), 0)
	require.NoError(r, err)
	c := row.Next()
	c.DeadLetters = []store.DeadLetter{{ID: "odd", Subject: "\x01?", At: someTime}}
	require.NoError(r, s.Commit(r.Context(), c))
}
