package store_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/store"
)

// A commit whose projection tampers with its transaction is refused and leaves nothing, even if
// the projection returns no error.
func TestATransactionInHandIsTheOneThatIsCommitted(t *testing.T) {
	t.Parallel()
	pool := newPool(t)
	s := open(t, pool, store.Options{})
	newTotals(t, s, pool)
	_, err := pool.Exec(t.Context(), `create table public.kept (n int primary key); insert into kept values (1)`)
	require.NoError(t, err)
	for name, does := range map[string][]string{
		"rollback":                  {`rollback`},
		"rollback; begin":           {`rollback`, `begin`},
		"rollback and chain":        {`rollback and chain`},
		"abort and more":            {`abort`, `insert into public.kept values (2)`},
		"commit":                    {`commit`},
		"commit; begin":             {`commit`, `begin`},
		"commit and chain":          {`commit and chain`},
		"end and more":              {`end`, `insert into public.kept values (2)`},
		"prepare transaction":       {`prepare transaction 'p'`},
		"an error is ignored":       {`insert into public.kept values (1)`},
		"and more":                  {`insert into public.kept values (1)`, `insert into public.kept values (3)`},
		"set constraints":           {`set constraints all immediate`},
		"the marker is gone":        {`reset all`},
		"triggers are switched off": {`set session_replication_role = replica`, `commit`},
	} {
		for _, says := range []error{nil, errors.New("no")} {
			c := commitOf()
			c.Handlers = handling(func(ctx context.Context, tx pgx.Tx) error {
				for _, sql := range append([]string{`insert into totals values (1)`}, does...) {
					_, _ = tx.Exec(ctx, sql)
				}
				return says
			})
			err := s.Commit(t.Context(), c)
			require.Equal(t, store.Refuse, store.Judge(err), "%s: %v", name, err)
			require.Equal(t, nothing, rowCounts(t, pool), name)
			require.Empty(t, totals(t, pool), name)
			var kept int
			require.NoError(t, pool.QueryRow(t.Context(), `select count(*) from public.kept`).Scan(&kept))
			require.Equal(t, 1, kept, name)
		}
	}
	c := commitOf()
	c.Handlers = handling(func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `insert into totals values (1)`)
		return err
	})
	require.NoError(t, s.Commit(t.Context(), c))
	require.Equal(t, everything, rowCounts(t, pool))
	require.Equal(t, []int{1}, totals(t, pool))
}

// The methods of the transaction do not end it. A projection may begin and end savepoints at will.
func TestAProjectionMayUseSavepoints(t *testing.T) {
	t.Parallel()
	pool := newPool(t)
	s := open(t, pool, store.Options{})
	newTotals(t, s, pool)
	c := commitOf()
	c.Handlers = handling(func(ctx context.Context, tx pgx.Tx) error {
		defer func() { require.Error(t, tx.Rollback(ctx)) }() // usual for a transaction of one's own
		for _, n := range []int{1, -2, 3} {
			err := pgx.BeginFunc(ctx, tx, func(tx pgx.Tx) error {
				_, err := tx.Exec(ctx, insertTotal, n)
				return err
			})
			require.Equal(t, n > 0, err == nil, "%v", err)
		}
		require.Error(t, tx.Commit(ctx))
		return nil
	})
	require.NoError(t, s.Commit(t.Context(), c))
	require.Equal(t, []int{1, 3}, totals(t, pool))
}

func TestRowsLeftOpenAreTheProjectionsFault(t *testing.T) {
	t.Parallel()
	pool := newPool(t)
	s := open(t, pool, store.Options{})
	c := commitOf()
	c.Handlers = handling(func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Query(ctx, `select generate_series(1, 100000)`) //nolint:sqlclosecheck // that is the mistake
		return err
	})
	err := s.Commit(t.Context(), c)
	require.Equal(t, store.Refuse, store.Judge(err), "%v", err)
	require.ErrorContains(t, err, "rows were left open")
	c.Handlers = nil
	require.NoError(t, s.Commit(t.Context(), c))
}

// Everything that a projection's SQL leaves in a session is gone before anybody else uses the
// session.
func TestASessionThatAProjectionHadIsAsAFreshOne(t *testing.T) {
	t.Parallel()
	hooked := 0
	pool := newPool(t, func(c *pgxpool.Config) {
		c.MaxConns = 1
		c.ConnConfig.RuntimeParams["TimeZone"] = "Asia/Tokyo"
		c.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
			hooked++
			_, err := conn.Exec(ctx, `set synchronous_commit = local; set statement_timeout = '1h'`)
			return err
		}
	})
	s := open(t, pool, store.Options{})
	_, err := pool.Exec(t.Context(), `create role somebody; grant somebody to current_user`)
	require.NoError(t, err)
	state := func() (all string) {
		require.NoError(t, s.Work().QueryRow(t.Context(), `select concat_ws(' ', pg_backend_pid(), current_user, session_user,
			current_setting('synchronous_commit'), current_setting('search_path'), current_setting('lock_timeout'),
			current_setting('statement_timeout'), current_setting('TimeZone'), nullif(current_setting('my.own', true), ''),
			(select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()), (select count(*) from pg_class where relname = 'scratch'),
			(select count(*) from pg_listening_channels()), (select count(*) from pg_cursors where is_holdable))`).Scan(&all))
		return all
	}
	fresh := state()
	leaves := []string{`set synchronous_commit = off`, `set search_path = nowhere`, `set lock_timeout = 1`, `set statement_timeout = 0`,
		`set timezone = 'Europe/Rome'`, `select set_config('my.own', '1', false)`, `select pg_advisory_lock(7)`, `listen everything`,
		`create temp table scratch (n int)`, `declare held cursor with hold for select 1`, `set role somebody`}
	c := commitOf()
	for name, result := range map[string]error{"refused": errors.New("no"), "committed": nil} {
		c.Handlers = handling(func(ctx context.Context, tx pgx.Tx) error {
			for _, sql := range leaves {
				_, err := tx.Exec(ctx, sql)
				require.NoError(t, err, sql)
			}
			return result
		})
		require.ErrorIs(t, s.Commit(t.Context(), c), result, name)
		require.Equal(t, fresh, state(), name)
		if result == nil {
			break
		}
	}
	require.Positive(t, hooked)
}

// Queued SQL leaves nothing in a session either. It shares a transaction with others only if it
// leaves nothing.
func TestQueuedSQLLeavesNothingInTheSession(t *testing.T) {
	t.Parallel()
	pool := newPool(t, func(c *pgxpool.Config) { c.MaxConns = 1 })
	s := open(t, pool, store.Options{})
	newTotals(t, s, pool)
	state := func() (all string) {
		require.NoError(t, s.Work().QueryRow(t.Context(), `select concat_ws(' ', pg_backend_pid(), current_user, session_user,
			current_setting('synchronous_commit'), current_setting('search_path'), current_setting('lock_timeout'),
			current_setting('statement_timeout'), current_setting('TimeZone'), nullif(current_setting('my.own', true), ''),
			(select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()),
			(select count(*) from pg_class where relname = 'scratch'), (select count(*) from pg_listening_channels()))`).Scan(&all))
		return all
	}
	fresh := state()
	for n, sql := range []string{`set synchronous_commit = off`, `set search_path = nowhere`, `set statement_timeout = '1h'`,
		`set role pg_monitor`, `select set_config('my.own', '1', false)`, `with a as (select pg_advisory_lock(7)) select * from a`,
		`insert into totals select 1 from pg_try_advisory_lock(7)`, `listen everything`, `create temp table scratch (n int)`,
		`select 1 as n into temp scratch`, `update pg_settings set setting = '1h' where name = 'statement_timeout'`} {
		c := stating(moved(n), n+1)
		c.Statements = append(c.Statements, of(numbers, &pgx.QueuedQuery{SQL: sql})...)
		require.NoError(t, s.Commit(t.Context(), c), sql)
		require.Equal(t, fresh, state(), sql)
	}
}

// moved returns a commit with only one event at a position.
func moved(position int) *store.Commit {
	c := commitOf()
	c.Position, c.Receipts, c.DeadLetters = int64(position), nil, nil
	c.Events[0].Position, c.Events[0].Sequence = int64(position+1), int64(position+1)
	if position > 0 {
		c.Time = committedAt
	}
	c.Known = true
	return c
}

// levels returns how durable the commits were, in their order.
func levels(t *testing.T, pool *pgxpool.Pool) []string {
	t.Helper()
	rows, err := pool.Query(t.Context(), `select level from public.durability order by n`)
	require.NoError(t, err)
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	return all
}

// noteLevels records at the end of each commit how durable it is.
func noteLevels(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	_, err := pool.Exec(t.Context(), `create table public.durability (n serial, level text);
		create function public.note() returns trigger language plpgsql as $$
		begin insert into public.durability (level) values (current_setting('synchronous_commit')); return null; end $$;
		create constraint trigger note after insert on maestro.log deferrable initially deferred for each row execute function public.note()`)
	require.NoError(t, err)
}

// A queued statement may call a function that changes the session, which the store cannot see.
// Neither that commit nor later commits in the session are less durable.
func TestAFunctionCannotMakeCommitsLessDurable(t *testing.T) {
	t.Parallel()
	pool := newPool(t, func(c *pgxpool.Config) {
		c.MaxConns = 1
		c.ConnConfig.RuntimeParams["synchronous_commit"] = "local"
	})
	s := open(t, pool, store.Options{})
	newTotals(t, s, pool)
	noteLevels(t, pool)
	_, err := pool.Exec(t.Context(), `create function maestro_numbers_1.lazy(n int) returns int language plpgsql as $$
		begin perform set_config('synchronous_commit', 'off', false); return n; end $$`)
	require.NoError(t, err)
	lazy := moved(0)
	lazy.Statements = of(numbers, &pgx.QueuedQuery{SQL: `insert into totals values (lazy($1))`, Arguments: []any{1}})
	require.NoError(t, s.Commit(t.Context(), lazy))
	var left string
	require.NoError(t, s.Work().QueryRow(t.Context(), `show synchronous_commit`).Scan(&left))
	require.Equal(t, "off", left, "the session has kept it")
	require.NoError(t, s.Commit(t.Context(), moved(1)))
	require.NoError(t, s.Commit(t.Context(), stating(moved(2), 3)))
	require.Equal(t, []string{"local", "local", "local"}, levels(t, pool))
}

// A person who makes the database more durable need not restart the workers.
func TestDurabilityIsThatOfAFreshSessionOfNow(t *testing.T) {
	t.Parallel()
	pool := newPool(t)
	s := open(t, pool, store.Options{})
	noteLevels(t, pool)
	_, err := pool.Exec(t.Context(), `do $$ begin execute format('alter database %I set synchronous_commit = remote_write', current_database()); end $$`)
	require.NoError(t, err)
	s.RenewPulse()
	n := 0
	require.Eventually(t, func() bool {
		require.NoError(t, s.Commit(t.Context(), moved(n)))
		n++
		all := levels(t, pool)
		return all[len(all)-1] == "remote_write"
	}, 10*time.Second, 50*time.Millisecond)
}

// A commit is as durable as in a fresh session, whatever a projection has set for its transaction.
func TestAProjectionCannotMakeACommitLessDurable(t *testing.T) {
	t.Parallel()
	pool := newPool(t, func(c *pgxpool.Config) { c.ConnConfig.RuntimeParams["synchronous_commit"] = "on" })
	s := open(t, pool, store.Options{})
	noteLevels(t, pool)
	for n, sql := range []string{`set synchronous_commit = off`, `set local synchronous_commit = off`} {
		c := moved(n)
		c.Handlers = handling(func(ctx context.Context, tx pgx.Tx) error {
			_, err := tx.Exec(ctx, sql)
			return err
		})
		require.NoError(t, s.Commit(t.Context(), c), sql)
	}
	require.Equal(t, []string{"on", "on"}, levels(t, pool))
}
