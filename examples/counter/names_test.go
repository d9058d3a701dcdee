package counter_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/examples/counter"
	"github.com/maestro-es/maestro/internal/localpg"
	"github.com/maestro-es/maestro/store"
)

// database returns a function that connects to a database with the tables of the projection.
func database(t *testing.T) (connect func() *pgx.Conn) {
	t.Helper()
	url := localpg.Database(t)
	connect = func() *pgx.Conn {
		conn, err := pgx.Connect(t.Context(), url)
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.Close(context.Background()) })
		return conn
	}
	conn := connect()
	for range 2 { // the setup runs at every start of a worker
		_, err := conn.Exec(t.Context(), counter.Names.Setup())
		require.NoError(t, err)
	}
	return connect
}

// named gives a counter a name, like a worker in the transaction of the commit.
func named(ctx context.Context, tx pgx.Tx, id, name string) error {
	return counter.Names.Project(ctx, tx, []store.Event{{
		Aggregate: store.Key{Type: "counter", ID: id},
		Recorded:  aggregate.Recorded{Sequence: 1, Type: "named", Version: 1},
		Value:     counter.Named{Name: name},
	}})
}

func names(t *testing.T, q interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}) map[string]string {
	t.Helper()
	rows, err := q.Query(t.Context(), "select name, counter_id from counter_names")
	require.NoError(t, err)
	pairs, err := pgx.CollectRows(rows, pgx.RowToStructByPos[struct{ Name, ID string }])
	require.NoError(t, err)
	found := map[string]string{}
	for _, pair := range pairs {
		found[pair.Name] = pair.ID
	}
	return found
}

func TestNamesWantsTheEventNamed(t *testing.T) {
	t.Parallel()
	require.NoError(t, counter.Names.Err())
	require.True(t, counter.Names.Wants("counter", "named"))
	require.False(t, counter.Names.Wants("counter", "incremented"))
	require.Contains(t, counter.Projections(), counter.Names)
}

func TestANameHasOneCounter(t *testing.T) {
	t.Parallel()
	ctx, conn := t.Context(), database(t)()
	tx, err := conn.Begin(ctx)
	require.NoError(t, err)
	require.NoError(t, named(ctx, tx, "1", "apples"))
	require.NoError(t, named(ctx, tx, "2", "pears"))

	err = named(ctx, tx, "2", "apples")
	require.ErrorContains(t, err, `name_taken: another counter has the name "apples"`)
	require.ErrorAs(t, err, new(*aggregate.Rejection))

	// The refusal has changed nothing, and the transaction goes on.
	require.Equal(t, map[string]string{"apples": "1", "pears": "2"}, names(t, tx))
	require.NoError(t, named(ctx, tx, "3", "plums"))
	require.NoError(t, tx.Commit(ctx))
	require.Equal(t, map[string]string{"apples": "1", "pears": "2", "plums": "3"}, names(t, conn))
}

func TestRenamingFreesTheOldName(t *testing.T) {
	t.Parallel()
	ctx, conn := t.Context(), database(t)()
	tx, err := conn.Begin(ctx)
	require.NoError(t, err)
	require.NoError(t, named(ctx, tx, "1", "apples"))
	require.NoError(t, named(ctx, tx, "1", "pears"))
	require.NoError(t, named(ctx, tx, "2", "apples"))
	require.NoError(t, named(ctx, tx, "1", "plums"))
	require.NoError(t, tx.Commit(ctx))
	require.Equal(t, map[string]string{"plums": "1", "apples": "2"}, names(t, conn))
}

// Two workers name two counters at once: the second waits for the first, and then knows.
func TestTwoTransactionsCannotTakeOneName(t *testing.T) {
	t.Parallel()
	for what, want := range map[string]struct {
		end    func(pgx.Tx, context.Context) error
		second string
	}{
		"commit":   {pgx.Tx.Commit, "name_taken"},
		"rollback": {pgx.Tx.Rollback, ""},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			ctx, connect := t.Context(), database(t)
			first, err := connect().Begin(ctx)
			require.NoError(t, err)
			second, err := connect().Begin(ctx)
			require.NoError(t, err)
			require.NoError(t, named(ctx, first, "1", "apples"))

			waiting := second.Conn().PgConn().PID()
			outcome := make(chan error, 1)
			go func() { outcome <- named(ctx, second, "2", "apples") }()
			watcher := connect()
			require.Eventually(t, func() bool {
				var blocked bool
				err := watcher.QueryRow(ctx, "select cardinality(pg_blocking_pids($1)) > 0", waiting).Scan(&blocked)
				return err == nil && blocked
			}, time.Minute, 5*time.Millisecond, "the second transaction does not wait for the first")

			require.NoError(t, want.end(first, ctx))
			if err := <-outcome; want.second == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, want.second)
			}
			require.NoError(t, second.Commit(ctx))
			require.Len(t, names(t, watcher), 1)
		})
	}
}
