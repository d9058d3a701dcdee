package store_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/internal/localpg"
	"github.com/maestro-es/maestro/store"
	"github.com/maestro-es/maestro/store/storetest"
)

// newPool returns a pool on a database of the test's own.
func newPool(t testing.TB, change ...func(*pgxpool.Config)) *pgxpool.Pool {
	t.Helper()
	return localpg.Pool(t, localpg.Database(t), change...)
}

func open(t testing.TB, pool *pgxpool.Pool, o store.Options) *store.Postgres {
	t.Helper()
	s, err := store.Open(t.Context(), pool, o)
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s
}

// conform runs the suite with a namespace for each test in one database.
func conform(t *testing.T, o store.Options, change ...func(*pgxpool.Config)) {
	pool := newPool(t, append(change, func(c *pgxpool.Config) { c.MaxConns = 20 })...)
	var namespaces atomic.Int64
	o.Partitions = 4
	storetest.Run(t, func(t *testing.T) store.Store {
		o := o
		o.Namespace = fmt.Sprint(o.Namespace, namespaces.Add(1))
		return open(t, pool, o)
	})
}

func TestPostgresConforms(t *testing.T) { conform(t, store.Options{Namespace: "ns_"}) }

func TestPostgresWithEventPartitionsConforms(t *testing.T) {
	conform(t, store.Options{Namespace: "ns_", EventPartitions: 3})
}

// A pooler in transaction mode, such as PgBouncer, may not know named prepared statements. These
// modes use none.
func TestPostgresConformsWithoutPreparedStatements(t *testing.T) {
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeSimpleProtocol, pgx.QueryExecModeExec,
		pgx.QueryExecModeCacheDescribe} {
		t.Run(mode.String(), func(t *testing.T) {
			conform(t, store.Options{Namespace: "ns_"}, func(c *pgxpool.Config) { c.ConnConfig.DefaultQueryExecMode = mode })
		})
	}
}

func TestPostgresConformsWithOddNamesAndTimeZones(t *testing.T) {
	conform(t, store.Options{Namespace: `select "a's" `}, func(c *pgxpool.Config) {
		c.ConnConfig.RuntimeParams["timezone"] = "Asia/Tokyo"
	})
}

var key = store.Key{Type: "counter", ID: "1"}

// committedAt is the time of every event of commitOf.
var committedAt = time.Now().UTC().Truncate(time.Microsecond)

// commitOf returns a commit of one event with a receipt and a dead letter at the first position.
func commitOf() *store.Commit {
	body := json.RawMessage(`{"by": 1}`)
	return &store.Commit{
		Events: []store.Event{{
			Position: 1, Aggregate: key, Recorded: aggregate.Recorded{Sequence: 1, Type: "incremented", Version: 1, Body: body},
			Metadata: store.Metadata{CommandID: "c"}, RecordedAt: committedAt,
		}},
		Receipts:    []store.Receipt{{Aggregate: key, CommandID: "c", Status: store.Committed, At: time.Now()}},
		DeadLetters: []store.DeadLetter{{ID: "d", Subject: "s", Body: []byte("b"), At: time.Now()}},
	}
}

// rowCounts returns how many rows of a commit are in the tables.
func rowCounts(t *testing.T, pool *pgxpool.Pool) string {
	t.Helper()
	var counts string
	err := pool.QueryRow(t.Context(), `select format('%s events, %s receipts, %s dead letters, position %s',
		(select count(*) from maestro.events), (select count(*) from maestro.receipts),
		(select count(*) from maestro.dead_letters),
		(select position from maestro.partitions where partition = 0))`).Scan(&counts)
	require.NoError(t, err)
	return counts
}

const (
	nothing    = "0 events, 0 receipts, 0 dead letters, position 0"
	everything = "1 events, 1 receipts, 1 dead letters, position 1"
)

func TestDeadLettersAreKept(t *testing.T) {
	t.Parallel()
	pool := newPool(t)
	s := open(t, pool, store.Options{})
	at := time.Date(2026, 1, 2, 3, 4, 5, 678000, time.UTC)
	want := store.DeadLetter{ID: "d", Subject: "a.b", Headers: map[string][]string{"A": {"b", "c"}}, Body: []byte{0, 255},
		Sequence: 7, CommandID: "c", Code: "e", Message: "f", At: at}
	require.NoError(t, s.Commit(t.Context(), &store.Commit{DeadLetters: []store.DeadLetter{want}}))
	var got store.DeadLetter
	require.NoError(t, pool.QueryRow(t.Context(), `select id, subject, headers, body, stream_sequence, command_id, code,
		message, at from maestro.dead_letters`).Scan(&got.ID, &got.Subject, &got.Headers, &got.Body, &got.Sequence,
		&got.CommandID, &got.Code, &got.Message, &got.At))
	got.At = got.At.UTC()
	require.Equal(t, want, got)
}

// A change of the projections that are kept in a partition's commits raises its layout. Commits
// that assume the former layout are refused.
func TestALayoutThatWasRaisedRefusesTheFormer(t *testing.T) {
	t.Parallel()
	pool := newPool(t)
	s := open(t, pool, store.Options{})
	_, err := pool.Exec(t.Context(), `update maestro.partitions set layout = layout + 1 where partition = 0`)
	require.NoError(t, err)
	require.ErrorIs(t, s.Commit(t.Context(), commitOf()), store.ErrConflict)
	require.Equal(t, nothing, rowCounts(t, pool))
	row, err := s.Partition(t.Context(), 0)
	require.NoError(t, err)
	c := commitOf()
	c.Layout = row.Layout
	require.NoError(t, s.Commit(t.Context(), c))
	require.Equal(t, everything, rowCounts(t, pool))
}

// A worker's clock may be wrong. A commit returns Postgres's clock: alone, in a group and step by
// step.
func TestACommitTellsPostgressClock(t *testing.T) {
	t.Parallel()
	pool := newPool(t)
	s := open(t, pool, store.Options{})
	byPostgres := func() (now time.Time) {
		require.NoError(t, pool.QueryRow(t.Context(), `select clock_timestamp()`).Scan(&now))
		return now
	}
	commits := []*store.Commit{in(0), in(1), in(2)}
	commits[0].Handlers = handling(func(context.Context, pgx.Tx) error { return nil })
	for _, c := range commits {
		c.DeadLetters = nil
		before := byPostgres()
		require.NoError(t, s.Commit(t.Context(), c))
		require.WithinRange(t, c.Clock, before, byPostgres())
	}
}

func TestAConnectionLostInTheMiddleOfABatchLeavesNothing(t *testing.T) {
	t.Parallel()
	pool := newPool(t)
	s := open(t, pool, store.Options{})
	ended := make(chan struct{})
	// The last statement of the batch waits for a lock; then its session is ended.
	blocker, err := pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = blocker.Exec(t.Context(), `lock table maestro.dead_letters`)
	require.NoError(t, err)
	go func() {
		defer close(ended)
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		for { // until the commit waits
			tag, err := blocker.Exec(ctx, `select pg_terminate_backend(pid, 60000) from pg_locks
				where not granted and relation = 'maestro.dead_letters'::regclass`)
			if err != nil || tag.RowsAffected() > 0 {
				return
			}
		}
	}()
	err = s.Commit(t.Context(), commitOf())
	<-ended
	require.NoError(t, blocker.Rollback(t.Context()))
	require.True(t, store.Judge(err).Passes(), "%v", err)
	require.Equal(t, nothing, rowCounts(t, pool))
}
