package store_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/store"
)

const insertTotal = `insert into totals values ($1)`

// numbers is the read model with the table totals.
var numbers = &store.ReadModel{Name: "numbers", Version: 1, Setup: `create table if not exists totals (n int check (n > 0))`}

// of returns statements of a read model.
func of(m *store.ReadModel, queries ...*pgx.QueuedQuery) (all []store.Statement) {
	for _, q := range queries {
		all = append(all, store.Statement{Model: m, Query: q})
	}
	return all
}

// stating adds to a commit statements that insert numbers into the table totals.
func stating(c *store.Commit, values ...int) *store.Commit {
	for _, n := range values {
		c.Statements = append(c.Statements, of(numbers, &pgx.QueuedQuery{SQL: insertTotal, Arguments: []any{n}})...)
	}
	return c
}

// newTotals creates the table, and one of the same name where the session itself would look for
// it.
func newTotals(t *testing.T, s *store.Postgres, pool *pgxpool.Pool) {
	t.Helper()
	_, err := pool.Exec(t.Context(), `create table public.totals (n int); create table maestro.totals (n int)`)
	require.NoError(t, err)
	require.NoError(t, s.Setup(t.Context(), numbers))
}

// totals returns the numbers in the table, in their order.
func totals(t *testing.T, pool *pgxpool.Pool) []int {
	t.Helper()
	rows, err := pool.Query(t.Context(), `select n from maestro_read.totals order by n`)
	require.NoError(t, err)
	numbers, err := pgx.CollectRows(rows, pgx.RowTo[int])
	require.NoError(t, err)
	return numbers
}

func TestStatementsShareTheTransactionOfTheirCommits(t *testing.T) {
	t.Parallel()
	c := newCrowd(t)
	newTotals(t, c.store, c.pool)
	c.gather(t.Context(), in(0), stating(in(2), 3), in(3), stating(in(1), 1, 2))
	c.release()
	for i, outcome := range c.outcomes {
		require.NoError(t, <-outcome, i)
	}
	require.Equal(t, []int{1, 2, 3}, totals(t, c.pool))
	var together int
	require.NoError(t, c.pool.QueryRow(t.Context(), `select count(distinct xmin::text) from (select xmin from maestro_numbers_1.totals union all
		select xmin from maestro.log where partition in (1, 2, 3)) as rows`).Scan(&together))
	require.Equal(t, 1, together)
}

func TestAStatementThatFailsIsFoundOut(t *testing.T) {
	t.Parallel()
	c := newCrowd(t)
	newTotals(t, c.store, c.pool)
	wrong := stating(in(3), 5)
	wrong.Statements = append(wrong.Statements, of(numbers, &pgx.QueuedQuery{SQL: `insert into nowhere values (1)`})...)
	unsendable := stating(in(4), 6)
	unsendable.Statements = append(unsendable.Statements, of(numbers, &pgx.QueuedQuery{SQL: insertTotal, Arguments: []any{"six"}})...)
	c.gather(t.Context(), in(0), stating(in(1), 1), stating(in(2), 2, 3, -4, 4), wrong, unsendable, stating(in(5), 7))
	c.release()
	for i, at := range map[int]int{2: 2, 3: 1, 4: 1} {
		var failed *store.StatementError
		require.ErrorAs(t, <-c.outcomes[i], &failed, i)
		require.Equal(t, at, failed.Index, i)
		require.False(t, store.Judge(failed).Passes(), i)
	}
	for _, i := range []int{0, 1, 5} {
		require.NoError(t, <-c.outcomes[i], i)
	}
	require.Equal(t, []int{1, 7}, totals(t, c.pool))
	for partition, position := range []int64{1, 1, 0, 0, 0, 1} {
		at, err := c.store.Partition(t.Context(), partition)
		require.NoError(t, err)
		require.Equal(t, position, at.Position, partition)
	}
}

// rewriting is SQL that becomes known only when the statement is sent.
type rewriting string

func (r rewriting) RewriteQuery(context.Context, *pgx.Conn, string, []any) (sql string, arguments []any, err error) {
	return string(r), nil, nil
}

// A statement must not end the transaction, because others share it.
func TestAStatementCannotEndTheTransaction(t *testing.T) {
	t.Parallel()
	for _, sql := range []string{"", `commit`, ` -- one
		/* two /* three */ */ END`, `;rollback`, `abort;`, `begin`, `start transaction`, `savepoint s`, `release s`, `prepare transaction 'p'`,
		`do $$ begin commit; end $$`, `do $$ begin rollback; end $$`, `call ends()`} {
		t.Run(sql, func(t *testing.T) {
			t.Parallel()
			c := newCrowd(t)
			newTotals(t, c.store, c.pool)
			_, err := c.pool.Exec(t.Context(), `create procedure maestro_numbers_1.ends() language plpgsql as $$ begin commit; end $$`)
			require.NoError(t, err)
			ends := stating(in(2), 2)
			end := &pgx.QueuedQuery{SQL: sql}
			if sql == "" {
				end.Arguments = []any{rewriting("rollback")}
			}
			ends.Statements = append(ends.Statements, of(numbers, end, &pgx.QueuedQuery{SQL: insertTotal, Arguments: []any{22}})...)
			c.gather(t.Context(), in(0), stating(in(1), 1), stating(in(3), -3), stating(in(4), 4))
			c.begin(t.Context(), ends)
			c.release()
			var failed *store.StatementError
			require.ErrorAs(t, <-c.outcomes[2], &failed)
			require.ErrorAs(t, <-c.outcomes[4], &failed)
			require.Equal(t, 1, failed.Index)
			require.False(t, store.Judge(failed).Passes())
			for _, i := range []int{0, 1, 3} {
				require.NoError(t, <-c.outcomes[i], i)
			}
			require.Equal(t, []int{1, 4}, totals(t, c.pool))
			require.Zero(t, c.transactions(2, 3))
		})
	}
}

// Statements that share a transaction leave nothing in the session. Read models consist mostly of
// such statements.
func TestWhatGoesAlongWithCommitsOfOthers(t *testing.T) {
	t.Parallel()
	for _, sql := range []string{insertTotal, `INSERT into a (b) values ($1) on conflict (b) do update set n = a.n + 1`, `update a set b = $1`,
		`delete from a`, `with b as (delete from a returning *) insert into c select * from b`, `merge into a using b on true when matched then delete`,
		`select pg_notify($1, $2)`, `select pg_advisory_xact_lock($1)`, `notify a`, `truncate a`, `lock table a`, ` -- why
		/* what */ insert into offset_config values ($1)`, `insert into temperatures values ($1)`} {
		require.True(t, store.GoesAlong(sql), sql)
	}
	for _, sql := range []string{``, `set a.b = 'c'`, `SET LOCAL lock_timeout = 1`, `reset all`, `select set_config($1, $2, false)`,
		`insert into a select pg_catalog.Set_Config('a.b', 'c', false)`, `select "set_config"('a.b', 'c', false)`, `select pg_advisory_lock(1)`,
		`update a set b = (select pg_try_advisory_lock_shared(1))`, `update pg_settings set setting = 'off'`, `listen a`, `unlisten *`,
		`create temp table a (b int)`, `select 1 into temp a`, `select 1 into temporary table a`, `deallocate all`, `discard all`,
		`declare a cursor with hold for select 1`, `do $$ begin end $$`, `call a()`, `commit`, `load 'a'`, `execute a`} {
		require.False(t, store.GoesAlong(sql), sql)
	}
}

// Only commits that write to a locked read model wait for the lock.
func TestALockOnAReadModelHoldsUpNobodyElse(t *testing.T) {
	t.Parallel()
	c := newCrowd(t)
	newTotals(t, c.store, c.pool)
	holder, err := c.pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = holder.Exec(t.Context(), `lock table maestro_numbers_1.totals`)
	require.NoError(t, err)
	c.gather(t.Context(), in(0), stating(in(1), 1), in(2), in(3))
	c.release()
	for _, i := range []int{0, 2, 3} {
		require.NoError(t, <-c.outcomes[i], i)
	}
	require.Empty(t, c.outcomes[1])
	require.NoError(t, holder.Rollback(t.Context()))
	require.NoError(t, <-c.outcomes[1])
	require.Equal(t, []int{1}, totals(t, c.pool))
}

// A violation in a statement is not mistaken for one of ours. A refused commit says why, even if
// it has statements.
func TestWhatIsNotTheStatementsIsNotPutOnThem(t *testing.T) {
	t.Parallel()
	pool := newPool(t)
	s := open(t, pool, store.Options{})
	c := commitOf()
	c.Statements = of(numbers, &pgx.QueuedQuery{SQL: `insert into maestro.receipts select * from maestro.receipts`})
	err := s.Commit(t.Context(), c)
	require.NotErrorIs(t, err, store.ErrDuplicate)
	var failed *store.StatementError
	require.ErrorAs(t, err, &failed)
	require.Equal(t, nothing, rowCounts(t, pool))

	c.Statements = of(numbers, &pgx.QueuedQuery{SQL: `select 1`})
	c.Position, c.Events[0].Position = 5, 6
	require.ErrorIs(t, s.Commit(t.Context(), c), store.ErrConflict)
	require.Equal(t, nothing, rowCounts(t, pool))
}

// However the pool runs statements, they find the read model's tables, and the session's search
// path does not change.
func TestStatementsFindTheirReadModel(t *testing.T) {
	t.Parallel()
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe,
		pgx.QueryExecModeDescribeExec, pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol} {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			pool := newPool(t, func(c *pgxpool.Config) {
				c.MaxConns = 1
				c.ConnConfig.DefaultQueryExecMode = mode
			})
			s := open(t, pool, store.Options{})
			newTotals(t, s, pool)
			require.NoError(t, s.Commit(t.Context(), stating(commitOf(), 1, 2)))
			next := stating(&store.Commit{Position: 1, Time: committedAt}, 4)
			next.Statements = append(next.Statements, of(numbers,
				&pgx.QueuedQuery{SQL: `insert into totals values (@n)`, Arguments: []any{pgx.NamedArgs{"n": 5}}})...)
			require.NoError(t, s.Commit(t.Context(), next))
			require.Equal(t, []int{1, 2, 4, 5}, totals(t, pool))
			var elsewhere int
			require.NoError(t, pool.QueryRow(t.Context(), `select count(*) from totals`).Scan(&elsewhere))
			require.Zero(t, elsewhere)
			next.Statements = of(numbers, &pgx.QueuedQuery{SQL: `insert into totals values (6)`}, &pgx.QueuedQuery{SQL: insertTotal, Arguments: []any{-1}})
			var failed *store.StatementError
			require.ErrorAs(t, s.Commit(t.Context(), next), &failed)
			require.Equal(t, 1, failed.Index)
			var violated *pgconn.PgError
			require.ErrorAs(t, failed, &violated)
			require.Equal(t, "23514", violated.Code)
		})
	}
}

// Each statement finds the tables of its own read model, whichever was prepared first and in
// whatever order they come.
func TestOneTextOfTwoReadModelsIsTwoStatements(t *testing.T) {
	t.Parallel()
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeCacheStatement, pgx.QueryExecModeExec} {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			pool := newPool(t, func(c *pgxpool.Config) { c.MaxConns, c.ConnConfig.DefaultQueryExecMode = 1, mode })
			s := open(t, pool, store.Options{})
			other := &store.ReadModel{Name: "other", Version: 2, Setup: `create table if not exists more (n int)`}
			for _, m := range []*store.ReadModel{numbers, other} {
				require.NoError(t, s.Setup(t.Context(), m))
			}
			_, err := pool.Exec(t.Context(), `create table maestro_other_2.totals (n int)`)
			require.NoError(t, err)
			insert := func(n int) *pgx.QueuedQuery { return &pgx.QueuedQuery{SQL: insertTotal, Arguments: []any{n}} }
			for i := range 3 {
				c := &store.Commit{}
				c.Statements = append(of(numbers, insert(10+i)), append(of(other, insert(-i)), of(numbers, insert(20+i))...)...)
				require.NoError(t, s.Commit(t.Context(), c))
			}
			require.Equal(t, []int{10, 11, 12, 20, 21, 22}, totals(t, pool))
			var sum int
			require.NoError(t, pool.QueryRow(t.Context(), `select sum(n) from maestro_other_2.totals`).Scan(&sum))
			require.Equal(t, -3, sum)
		})
	}
}

// A projection that puts values into its SQL is slow, but has no other effect.
func TestAConnectionKeepsOnlySoManyStatements(t *testing.T) {
	t.Parallel()
	pool := newPool(t, func(c *pgxpool.Config) { c.MaxConns = 1 })
	s := open(t, pool, store.Options{})
	newTotals(t, s, pool)
	var want []int
	for round := range 2 {
		c := &store.Commit{}
		for n := range 200 {
			want = append(want, 1+200*round+n)
			c.Statements = append(c.Statements, of(numbers, &pgx.QueuedQuery{SQL: fmt.Sprintf(`insert into totals values (%d)`, 1+200*round+n)})...)
		}
		require.NoError(t, s.Commit(t.Context(), c))
	}
	require.Equal(t, want, totals(t, pool))
	var kept int // only those of the store, because pgx's own cache uses other names
	require.NoError(t, s.Work().QueryRow(t.Context(), `select count(*) from pg_prepared_statements where name like 'maestro\_%'`).Scan(&kept))
	require.Equal(t, 256, kept)
}
