package store_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/store"
)

// handling returns handlers of the read model numbers.
func handling(run func(context.Context, pgx.Tx) error) []store.Handler {
	return []store.Handler{{Model: numbers, Run: run}}
}

func TestProjectionsAreInTheTransaction(t *testing.T) {
	t.Parallel()
	pool := newPool(t)
	s := open(t, pool, store.Options{})
	newTotals(t, s, pool)
	project := func(result error) func(context.Context, pgx.Tx) error {
		return func(ctx context.Context, tx pgx.Tx) error {
			var events int
			require.NoError(t, tx.QueryRow(ctx, `select count(*) from maestro.events`).Scan(&events))
			require.Equal(t, 1, events, "the events are there")
			_, err := tx.Exec(ctx, `insert into totals values (1)`)
			require.NoError(t, err)
			require.Equal(t, nothing, rowCounts(t, pool), "nobody else sees them")
			return result
		}
	}
	totals := func() (n int) {
		require.NoError(t, pool.QueryRow(t.Context(), `select count(*) from maestro_read.totals`).Scan(&n))
		return n
	}

	c := commitOf()
	failure := &aggregate.Rejection{Code: "no"}
	c.Handlers = handling(project(failure))
	err := s.Commit(t.Context(), c)
	require.ErrorIs(t, err, failure, "its error comes out as it was")
	require.Equal(t, store.Refuse, store.Judge(err))
	require.Equal(t, nothing, rowCounts(t, pool))
	require.Zero(t, totals())

	c.Handlers = handling(project(nil))
	require.NoError(t, s.Commit(t.Context(), c))
	require.Equal(t, everything, rowCounts(t, pool))
	require.Equal(t, 1, totals())

	var path string
	require.NoError(t, pool.QueryRow(t.Context(), `show search_path`).Scan(&path))
	require.Equal(t, `"$user", public`, path, "the session's search path is as it was")
}

func TestProjectionErrors(t *testing.T) {
	t.Parallel()
	pool := newPool(t, func(c *pgxpool.Config) { c.ConnConfig.RuntimeParams["search_path"] = "" })
	s := open(t, pool, store.Options{})
	c := commitOf()

	c.Handlers = handling(func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `insert into maestro.receipts select * from maestro.receipts`)
		return err
	})
	err := s.Commit(t.Context(), c)
	require.NotErrorIs(t, err, store.ErrDuplicate, "a violation of the projection's is not taken for one of ours")
	require.ErrorContains(t, err, "23505")

	c.Handlers = handling(func(ctx context.Context, tx pgx.Tx) error {
		_, _ = tx.Exec(ctx, `select 1/0`)
		return nil
	})
	require.ErrorContains(t, s.Commit(t.Context(), c), "was ignored", "an ignored error does not commit half")

	c.Position, c.Events[0].Position = 5, 6
	c.Handlers = handling(func(context.Context, pgx.Tx) error {
		t.Error("a refused commit was projected")
		return nil
	})
	require.ErrorIs(t, s.Commit(t.Context(), c), store.ErrConflict)
	require.Equal(t, nothing, rowCounts(t, pool))
}

// terminate ends the session of a transaction from another one.
func terminate(t *testing.T, pool *pgxpool.Pool, tx pgx.Tx) {
	t.Helper()
	var ended bool
	err := pool.QueryRow(t.Context(), `select pg_terminate_backend($1, 60000)`, tx.Conn().PgConn().PID()).Scan(&ended)
	require.NoError(t, err)
	require.True(t, ended)
}

func TestALostConnectionPassesAndLeavesNothing(t *testing.T) {
	t.Parallel()
	pool := newPool(t)
	s := open(t, pool, store.Options{})
	for name, project := range map[string]func(context.Context, pgx.Tx) error{
		"the projection passes the error on": func(ctx context.Context, tx pgx.Tx) error {
			terminate(t, pool, tx)
			_, err := tx.Exec(ctx, `select 1`)
			return fmt.Errorf("projection: %w", err)
		},
		"the projection takes it for a rejection": func(ctx context.Context, tx pgx.Tx) error {
			terminate(t, pool, tx)
			_, err := tx.Exec(ctx, `select 1`)
			require.Error(t, err)
			return aggregate.Reject("unknown_account", "no such account")
		},
		"the projection does not notice": func(_ context.Context, tx pgx.Tx) error {
			terminate(t, pool, tx)
			return nil
		},
	} {
		c := commitOf()
		c.Handlers = handling(project)
		err := s.Commit(t.Context(), c)
		require.True(t, store.Judge(err).Passes(), "%s: %v", name, err)
		var rejection *aggregate.Rejection
		require.NotErrorAs(t, err, &rejection, name)
		require.Equal(t, nothing, rowCounts(t, pool), name)
	}
	c := commitOf()
	require.NoError(t, s.Commit(t.Context(), c))
	require.Equal(t, everything, rowCounts(t, pool))
}

func TestACancelledCommitLeavesNothing(t *testing.T) {
	t.Parallel()
	pool := newPool(t)
	s := open(t, pool, store.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	c := commitOf()
	c.Handlers = handling(func(ctx context.Context, tx pgx.Tx) error {
		cancel()
		_, err := tx.Exec(ctx, `select 1`)
		return err
	})
	err := s.Commit(ctx, c)
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, nothing, rowCounts(t, pool))
}

func TestAFrozenOwnerDoesNotHoldATakeoverUp(t *testing.T) {
	t.Parallel()
	pool := newPool(t)
	s := open(t, pool, store.Options{})
	frozen, thaw, committed := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	c := commitOf()
	c.Handlers = handling(func(context.Context, pgx.Tx) error {
		close(frozen)
		<-thaw
		return nil
	})
	go func() { committed <- s.Commit(t.Context(), c) }()
	<-frozen
	p, err := s.Acquire(t.Context(), 0, "next")
	require.NoError(t, err)
	require.Equal(t, int64(1), p.Epoch)
	require.Zero(t, p.Position)
	close(thaw)
	err = <-committed
	require.True(t, store.Judge(err).Passes(), "%v", err)
	require.ErrorIs(t, s.Commit(t.Context(), c), store.ErrFenced)
	require.Equal(t, nothing, rowCounts(t, pool))
}

func TestAFrozenOwnerDoesNotHoldASetupUp(t *testing.T) {
	t.Parallel()
	pool := newPool(t)
	s := open(t, pool, store.Options{})
	notes := &store.ReadModel{Name: "notes", Version: 1,
		Setup: `create table if not exists notes (id text primary key); create index if not exists notes_id on notes (id)`}
	require.NoError(t, s.Setup(t.Context(), notes))
	frozen, thaw, committed := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	c := commitOf()
	c.Handlers = handling(func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `insert into maestro_notes_1.notes values ('a')`)
		close(frozen)
		<-thaw
		return err
	})
	go func() { committed <- s.Commit(t.Context(), c) }()
	<-frozen
	require.NoError(t, s.Setup(t.Context(), notes))
	close(thaw)
	err := <-committed
	require.True(t, store.Judge(err).Passes(), "%v", err)
	require.Equal(t, nothing, rowCounts(t, pool))
}
