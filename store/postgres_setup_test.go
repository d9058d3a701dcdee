package store_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/store"
)

func TestSetupMakesTablesInTheNamespaceBesideTheUsersOwn(t *testing.T) {
	t.Parallel()
	pool := newPool(t, func(c *pgxpool.Config) { c.MaxConns = 1 })
	_, err := pool.Exec(t.Context(), `create table customers (id int); insert into customers values (7)`)
	require.NoError(t, err)
	for _, namespace := range []string{"maestro", `odd "name"`} {
		s := open(t, pool, store.Options{Namespace: namespace, Partitions: 1})
		require.NoError(t, s.Setup(t.Context(), `create table totals as select id from customers; create index totals_id on totals (id)`))
		var schema, path string
		require.NoError(t, pool.QueryRow(t.Context(), `select schemaname, current_setting('search_path') from pg_tables
			where tablename = 'totals' and schemaname = $1`, namespace).Scan(&schema, &path))
		require.Equal(t, namespace, schema)
		require.Equal(t, `"$user", public`, path, "the session's search path is as it was")
		require.NoError(t, s.Setup(t.Context(), ""), "no SQL is nothing to do")
	}
}

// "create table if not exists" fails when two do it at the same moment; workers start at the same moment.
func TestManySetUpAtOnce(t *testing.T) {
	t.Parallel()
	pool := newPool(t, func(c *pgxpool.Config) { c.MaxConns = 16 })
	s := open(t, pool, store.Options{Partitions: 1})
	var group sync.WaitGroup
	for range 16 {
		group.Go(func() {
			err := s.Setup(t.Context(), `create table if not exists totals (id int primary key, n int);
				create index if not exists totals_n on totals (n); insert into totals values (1, 0) on conflict (id) do nothing;
				update totals set n = n + 1`)
			if err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	var n int
	require.NoError(t, pool.QueryRow(t.Context(), `select n from maestro.totals`).Scan(&n))
	require.Equal(t, 16, n)
}

func TestASetupThatFailsSaysWhyAndLeavesNothing(t *testing.T) {
	t.Parallel()
	pool := newPool(t)
	s := open(t, pool, store.Options{Partitions: 1})
	err := s.Setup(t.Context(), `create table totals (id int); create index on totls (id)`)
	require.ErrorContains(t, err, `relation "totls" does not exist`)
	var left bool
	require.NoError(t, pool.QueryRow(t.Context(), `select to_regclass('maestro.totals') is not null`).Scan(&left))
	require.False(t, left)
}

// A session that is not in the middle of a commit is not ours to end.
func TestASetupThatIsInTheWayOfSomebodySaysSo(t *testing.T) {
	t.Parallel()
	pool := newPool(t)
	s := open(t, pool, store.Options{Partitions: 1})
	require.NoError(t, s.Setup(t.Context(), `create table totals (id int)`))
	reader, err := pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = reader.Exec(t.Context(), `select * from maestro.totals`)
	require.NoError(t, err)
	waiting := make(chan error, 1)
	go func() { waiting <- s.Setup(t.Context(), `alter table totals add column n int`) }()
	tries := map[time.Time]bool{}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for len(tries) < 2 { // those in the middle of a commit are ended between the first and the second
		rows, err := pool.Query(ctx, `select xact_start from pg_stat_activity where wait_event_type = 'Lock' and query like '%alter table totals%'`)
		require.NoError(t, err)
		waiting, err := pgx.CollectRows(rows, pgx.RowTo[time.Time])
		require.NoError(t, err)
		for _, try := range waiting {
			tries[try] = true
		}
	}
	require.NoError(t, reader.Rollback(t.Context()), "its session lives")
	require.NoError(t, <-waiting)
}

func TestASetupIsOneStatement(t *testing.T) {
	t.Parallel()
	k := &killer{}
	pool := newPool(t, func(c *pgxpool.Config) { c.ConnConfig.Tracer = k })
	s := open(t, pool, store.Options{Partitions: 1})
	k.arm(2, func() { t.Error("a process that freezes between two statements would hold the others up") })
	require.NoError(t, s.Setup(t.Context(), `create table a (id int); create table b (id int)`))
	k.disarm()
}
