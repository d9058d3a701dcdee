package store_test

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/internal/localpg"
	"github.com/maestro-es/maestro/store"
)

// model returns a read model of version 1.
func model(name, setup string) *store.ReadModel {
	return &store.ReadModel{Name: name, Version: 1, Setup: setup}
}

// names returns the names that a query lists.
func names(t *testing.T, pool *pgxpool.Pool, sql string, args ...any) []string {
	t.Helper()
	rows, err := pool.Query(t.Context(), sql, args...)
	require.NoError(t, err)
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	return names
}

const relations = `select n.nspname || '.' || c.relname || ' ' || c.relkind::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
	where starts_with(n.nspname, $1 || '_') and c.relkind in ('r', 'v') order by 1`

func TestSetupMakesTablesInASchemaOfTheirOwn(t *testing.T) {
	t.Parallel()
	pool := newPool(t, func(c *pgxpool.Config) { c.MaxConns = 1 })
	_, err := pool.Exec(t.Context(), `create table customers (id int); insert into customers values (7)`)
	require.NoError(t, err)
	for _, namespace := range []string{"maestro", `odd "name"`} {
		s := open(t, pool, store.Options{Namespace: namespace, Partitions: 1})
		m := model("totals", `create table if not exists totals as select id, 'a' as "odd ""column" from customers; -- with a comment
			create index if not exists totals_id on totals (id); create or replace view "Large" as select * from totals where id > 1 -- and one more`)
		m.Using = []string{"public"}
		require.NoError(t, s.Setup(t.Context(), m))
		require.NoError(t, s.Setup(t.Context(), m), "again")
		require.Equal(t, []string{namespace + `_read.Large v`, namespace + `_read.totals v`, namespace + `_totals_1.Large v`,
			namespace + `_totals_1.totals r`}, names(t, pool, relations, namespace))
		require.Equal(t, []string{"7 a"}, names(t, pool, `select id || ' ' || "odd ""column" from `+
			pgx.Identifier{namespace + "_read", "totals"}.Sanitize()))
		require.Equal(t, []string{`"$user", public`}, names(t, pool, `show search_path`), "the session's search path is as it was")
	}
	require.Equal(t, []string{`Maestro: namespace "maestro", projection "totals", version 1`, `Maestro: namespace "maestro", views for readers`},
		names(t, pool, `select obj_description(oid, 'pg_namespace') from pg_namespace where starts_with(nspname, 'maestro_') order by nspname desc`))
}

// Without Using, the search path is the model's own schema and that of Postgres.
func TestAReadModelFindsItsOwnTablesOnly(t *testing.T) {
	t.Parallel()
	pool := newPool(t)
	s := open(t, pool, store.Options{Partitions: 1})
	_, err := pool.Exec(t.Context(), `create table customers (id int)`)
	require.NoError(t, err)
	for _, table := range []string{"customers", "partitions", "events"} {
		require.ErrorContains(t, s.Setup(t.Context(), model("totals", `create table totals as select * from `+table)),
			fmt.Sprintf("relation %q does not exist", table))
	}
	require.Empty(t, names(t, pool, relations, "maestro"), "a setup that fails leaves nothing")
	own := model("own", "")
	own.Using = []string{"maestro"}
	require.ErrorContains(t, s.Setup(t.Context(), own), `projections.Using("maestro"): that is the schema of the log`)
}

// A table of a read model may have the name of a table of the log. It does not touch the log.
func TestAReadModelCalledEventsLeavesTheLogAlone(t *testing.T) {
	t.Parallel()
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeCacheStatement, pgx.QueryExecModeSimpleProtocol} {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			pool := newPool(t, func(c *pgxpool.Config) { c.ConnConfig.DefaultQueryExecMode = mode })
			s := open(t, pool, store.Options{Partitions: 1})
			m := model("copy", `create table if not exists events (aggregate_id text); create table if not exists receipts (aggregate_id text)`)
			require.NoError(t, s.Setup(t.Context(), m))
			c := commitOf()
			c.Statements = of(m, &pgx.QueuedQuery{SQL: `insert into events values ('1')`}, &pgx.QueuedQuery{SQL: `delete from events`},
				&pgx.QueuedQuery{SQL: `insert into receipts values ('2')`})
			c.Handlers = []store.Handler{{Model: m, Run: func(ctx context.Context, tx pgx.Tx) error {
				_, err := tx.Exec(ctx, `delete from events; insert into events values ('3')`)
				return err
			}}}
			require.NoError(t, s.Commit(t.Context(), c))
			require.Equal(t, everything, rowCounts(t, pool))
			require.Equal(t, []string{"2", "3"}, names(t, pool, `select aggregate_id from maestro_read.events
				union all select aggregate_id from maestro_read.receipts order by 1`))
		})
	}
}

// A schema that is not ours is neither adopted nor dropped.
func TestASchemaThatIsNotTheReadModelsOwnIsRefused(t *testing.T) {
	t.Parallel()
	pool := newPool(t)
	s := open(t, pool, store.Options{Partitions: 1})
	_, err := pool.Exec(t.Context(), `create schema maestro_totals_1; create table maestro_totals_1.precious (n int);
		create schema maestro_b_read`)
	require.NoError(t, err)
	require.ErrorContains(t, s.Setup(t.Context(), model("totals", `drop table precious`)),
		`schema "maestro_totals_1" is not ours: its comment is "", and not "Maestro: namespace "maestro", projection "totals", version 1"`)
	require.Equal(t, []string{"maestro_totals_1.precious r"}, names(t, pool, relations, "maestro"))

	require.NoError(t, s.Setup(t.Context(), model("b_c", `create table t (n int)`)))
	b := open(t, pool, store.Options{Namespace: "maestro_b", Partitions: 1})
	require.ErrorContains(t, b.Setup(t.Context(), model("c", `drop table t`)), `projection "b_c", version 1`, "maestro_b + c is maestro + b_c")
	require.ErrorContains(t, b.Setup(t.Context(), model("d", ``)), `schema "maestro_b_read" is not ours`)

	_, err = store.Open(t.Context(), pool, store.Options{Namespace: "maestro_b_c_1", Partitions: 1})
	require.ErrorContains(t, err, `projection "b_c", version 1`, "nor does a log move in with a read model")
}

func TestANameThatPostgresWouldCutIsRefused(t *testing.T) {
	t.Parallel()
	s := open(t, newPool(t), store.Options{Partitions: 1})
	require.NoError(t, s.Setup(t.Context(), model(strings.Repeat("a", 53), "")))
	require.ErrorContains(t, s.Setup(t.Context(), model(strings.Repeat("a", 54), "")), "more than 63 bytes")
}

func TestTwoReadModelsMayNotHaveTablesOfOneName(t *testing.T) {
	t.Parallel()
	pool := newPool(t)
	s := open(t, pool, store.Options{Partitions: 1})
	require.NoError(t, s.Setup(t.Context(), model("a", `create table t (n int)`)))
	require.ErrorContains(t, s.Setup(t.Context(), model("b", `create table t (n int)`)), `view "maestro_read.t" shows a table of schema "maestro_a_1"`)
}

// The view and the grants on it stay. The view shows the tables of the version that was set up
// last.
func TestReadersKeepTheirViewOverVersions(t *testing.T) {
	t.Parallel()
	pool := newPool(t)
	s := open(t, pool, store.Options{Partitions: 1})
	set := func(version int, setup string) error {
		return s.Setup(t.Context(), &store.ReadModel{Name: "a", Version: version, Setup: setup})
	}
	require.NoError(t, set(1, `create table if not exists t (n int); insert into t values (1)`))
	_, err := pool.Exec(t.Context(), `grant select on maestro_read.t to pg_monitor`)
	require.NoError(t, err)
	oid := names(t, pool, `select 'maestro_read.t'::regclass::oid::text`)
	require.NoError(t, set(2, `create table if not exists t (n int, extra text); insert into t values (2, 'x')`))
	require.Equal(t, []string{"2 x"}, names(t, pool, `select n || ' ' || extra from maestro_read.t`))
	require.Equal(t, oid, names(t, pool, `select 'maestro_read.t'::regclass::oid::text from pg_class
		where oid = 'maestro_read.t'::regclass and relacl::text like '%pg_monitor=r%'`))
	require.ErrorContains(t, set(1, `insert into t values (3)`), `a view in schema "maestro_read" shows columns that version 1 does not have`)
	require.Equal(t, []string{"1"}, names(t, pool, `select n::text from maestro_a_1.t`), "nothing of it is kept")
}

// A reader in a long transaction does not hold up a start that has nothing to change.
func TestAViewThatIsRightIsNotMadeAgain(t *testing.T) {
	t.Parallel()
	pool := newPool(t)
	s := open(t, pool, store.Options{Partitions: 1})
	m := model("a", `create table if not exists t (n int)`)
	require.NoError(t, s.Setup(t.Context(), m))
	reader, err := pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = reader.Exec(t.Context(), `select * from maestro_read.t`)
	require.NoError(t, err)
	require.NoError(t, s.Setup(t.Context(), m))
	require.NoError(t, reader.Rollback(t.Context()))
}

// The error says what somebody has to do. Doing exactly that is enough.
func TestARoleThatMayNotCreateSchemasSaysWhatToDo(t *testing.T) {
	t.Parallel()
	database := localpg.Database(t)
	admin := localpg.Pool(t, database)
	u, err := url.Parse(database)
	require.NoError(t, err)
	role := "role_" + strings.TrimPrefix(u.Path, "/")
	_, err = admin.Exec(t.Context(), fmt.Sprintf(`create role %s login password 'secret'; create schema maestro authorization %[1]s`, role))
	require.NoError(t, err)
	t.Cleanup(func() {
		_, _ = admin.Exec(context.Background(), fmt.Sprintf(`drop owned by %s; drop role %[1]s`, role))
	})
	u.User = url.UserPassword(role, "secret")
	s := open(t, localpg.Pool(t, u.String()), store.Options{Partitions: 1})
	m := model("a", `create table if not exists t (n int)`)
	err = s.Setup(t.Context(), m)
	require.ErrorContains(t, err, "permission denied for database")
	_, remedy, found := strings.Cut(err.Error(), "Let a role that may create schemas run this once: ")
	require.True(t, found, "%v", err)
	_, err = admin.Exec(t.Context(), remedy)
	require.NoError(t, err)
	require.NoError(t, s.Setup(t.Context(), m))
}

// "create table if not exists" fails when two sessions run it at the same moment, and workers may
// start at the same moment.
func TestManySetUpAtOnce(t *testing.T) {
	t.Parallel()
	pool := newPool(t, func(c *pgxpool.Config) { c.MaxConns = 16 })
	s := open(t, pool, store.Options{Partitions: 1})
	m := model("totals", `create table if not exists totals (id int primary key, n int);
		create index if not exists totals_n on totals (n); insert into totals values (1, 0) on conflict (id) do nothing;
		update totals set n = n + 1`)
	var group sync.WaitGroup
	for range 16 {
		group.Go(func() {
			if err := s.Setup(t.Context(), m); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	require.Equal(t, []string{"16"}, names(t, pool, `select n::text from maestro_read.totals`))
}

func TestASetupThatFailsSaysWhyAndLeavesNothing(t *testing.T) {
	t.Parallel()
	pool := newPool(t)
	s := open(t, pool, store.Options{Partitions: 1})
	err := s.Setup(t.Context(), model("totals", `create table totals (id int); create index on totls (id)`))
	require.ErrorContains(t, err, `relation "totls" does not exist`)
	require.Empty(t, names(t, pool, relations, "maestro"))
}

// Setup must not end a session that is not in the middle of a commit.
func TestASetupThatIsInTheWayOfSomebodySaysSo(t *testing.T) {
	t.Parallel()
	pool := newPool(t)
	s := open(t, pool, store.Options{Partitions: 1})
	require.NoError(t, s.Setup(t.Context(), model("totals", `create table totals (id int)`)))
	reader, err := pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = reader.Exec(t.Context(), `select * from maestro_totals_1.totals`)
	require.NoError(t, err)
	waiting := make(chan error, 1)
	go func() { waiting <- s.Setup(t.Context(), model("totals", `alter table totals add column n int`)) }()
	tries := map[time.Time]bool{}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for len(tries) < 2 { // sessions in a commit are ended between the two tries
		rows, err := pool.Query(ctx, `select xact_start from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database() and xact_start is not null`)
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
	require.NoError(t, s.Setup(t.Context(), model("ab", `create table a (id int); create table b (id int)`)))
	k.disarm()
}
