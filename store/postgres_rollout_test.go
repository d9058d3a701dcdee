package store_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/internal/localpg"
	"github.com/maestro-es/maestro/store"
)

// expand is a migration of a later release. It keeps everything that the older program uses, and
// adds what the newer one needs.
const expand = `-- least program: 1
alter table {{.schema}}.partitions add column moved_by text not null default 'advance';
create function {{.schema}}.advance_2(
  of_partition smallint, from_epoch bigint, of_layout bigint, from_position bigint, from_recorded_at timestamptz,
  to_position bigint, to_published bigint, to_event_stream timestamptz, to_command_stream timestamptz, to_cursor bigint,
  to_cursor_time timestamptz, to_recorded_at timestamptz
) returns timestamptz language plpgsql as $$
begin
  update {{.schema}}.partitions
     set position = to_position, published_position = to_published, event_stream = to_event_stream,
         command_stream = to_command_stream, command_cursor = to_cursor, cursor_time = to_cursor_time,
         recorded_at = coalesce(to_recorded_at, recorded_at), moved_by = 'advance_2'
   where partition = of_partition and epoch = from_epoch and layout = of_layout and position = from_position
     and recorded_at is not distinct from from_recorded_at;
  if not found then
    raise exception 'partition % is elsewhere', of_partition using errcode = 'ME002';
  end if;
  return pg_catalog.clock_timestamp();
end $$;
`

// contract is a migration of the release after that. It removes what only the older program used.
const contract = `-- least program: 2
drop function {{.schema}}.advance;
`

func knowing(steps ...string) store.Options {
	files := fstest.MapFS{"001_create.sql": {Data: store.FirstStep()}}
	for i, step := range steps {
		files[fmt.Sprintf("%03d_later.sql", i+2)] = &fstest.MapFile{Data: []byte(step)}
	}
	return store.Options{Partitions: 2}.Knowing(files)
}

// program is the part of a worker that matters in a rollout: its store.
type program struct {
	*store.Postgres
	t *testing.T
}

// take makes the program acquire a partition and commit an event there.
func (p program) take(partition int) {
	p.t.Helper()
	_, err := p.Acquire(p.t.Context(), partition, "test")
	require.NoError(p.t, err)
	p.commit(partition)
}

func (p program) commit(partition int) {
	p.t.Helper()
	row, err := p.Partition(p.t.Context(), partition)
	require.NoError(p.t, err)
	c := batchOf(row.Position, 1, func(int64) string { return fmt.Sprint("of ", partition) })
	c.Partition, c.Epoch = partition, row.Epoch
	require.NoError(p.t, p.Commit(p.t.Context(), c))
}

func TestAnOldProgramRestartsAndCommitsInTheMiddleOfARollout(t *testing.T) {
	t.Parallel()
	pool := newPool(t)
	start := func(o store.Options) program { return program{open(t, pool, o), t} }
	old := start(store.Options{Partitions: 2})
	old.take(0)
	old.take(1)

	next := start(knowing(expand))
	next.CommitBy("maestro.advance_2")
	next.take(1)
	old.commit(0)
	restarted := start(store.Options{Partitions: 2})
	restarted.take(1)
	next.take(0)
	restarted.commit(1)
	require.Equal(t, []string{"0: 3 by advance_2", "1: 4 by advance_2"}, names(t, pool,
		`select partition || ': ' || position || ' by ' || moved_by from maestro.partitions order by 1`))
	require.Equal(t, []string{"3", "4"}, names(t, pool, `select count(*)::text from maestro.events group by partition order by 1`))

	var schema *store.SchemaError
	nobody := func(context.Context) error { t.Error("it began"); return nil }
	require.ErrorAs(t, store.Republish(t.Context(), pool, store.Options{}, "", nobody, nil), &schema,
		"maintenance moves everything, and so has to know everything")
	require.Equal(t, 2, schema.LeastProgram)

	last := start(knowing(expand, contract))
	last.CommitBy("maestro.advance_2")
	last.take(0)
	next.take(1)
	start(knowing(expand)).CommitBy("maestro.advance_2").Close()
	_, err := store.Open(t.Context(), pool, store.Options{})
	require.ErrorAs(t, err, &schema)
	require.Equal(t, store.SchemaError{Namespace: "maestro", Version: 3, LeastProgram: 2, Known: 1}, *schema)
	require.ErrorContains(t, err, "deploy the release that migrated it, or a later one")
	require.ErrorAs(t, store.Migrate(t.Context(), pool, store.Options{}), &schema)
}

// A commit behind a migration's lock would wait as long as the migration waits for its own lock.
func TestAMigrationGivesWayToCommits(t *testing.T) {
	t.Parallel()
	pool := newPool(t)
	old := program{open(t, pool, store.Options{Partitions: 2}), t}
	old.take(0)
	reader, err := pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = reader.Exec(t.Context(), `select * from maestro.partitions`)
	require.NoError(t, err)

	var log lines
	o := knowing(expand)
	o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	migrated := make(chan error, 1)
	go func() { migrated <- store.Migrate(t.Context(), pool, o) }()
	const gaveWay = "a step waits for a lock that somebody holds"
	for seen := range 2 {
		require.Eventually(t, func() bool { return log.count(gaveWay) > seen }, patience, tick)
		old.commit(0)
	}
	require.Empty(t, migrated, "the reader holds the table")
	require.NoError(t, reader.Rollback(t.Context()))
	require.NoError(t, <-migrated)
	require.Equal(t, []string{"2 1"}, names(t, pool, `select version || ' ' || least_program from maestro.schema_version`))
}

func TestAMigrationEndsWithItsContext(t *testing.T) {
	t.Parallel()
	pool := newPool(t)
	open(t, pool, store.Options{Partitions: 2})
	reader, err := pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = reader.Exec(t.Context(), `select * from maestro.partitions`)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	var log lines
	o := knowing(expand)
	o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	migrated := make(chan error, 1)
	go func() { migrated <- store.Migrate(ctx, pool, o) }()
	require.Eventually(t, func() bool { return log.count("is tried again") > 0 }, patience, tick)
	cancel()
	require.ErrorContains(t, <-migrated, `migrate namespace "maestro"`)
	require.NoError(t, reader.Rollback(t.Context()))
}

// A pooler in transaction mode runs each transaction in any free session. A lock of the session
// would stay behind there.
func TestManyOpenAnEmptyDatabaseAtOnceBehindAPooler(t *testing.T) {
	t.Parallel()
	direct, err := url.Parse(localpg.Database(t))
	require.NoError(t, err)
	password, _ := direct.User.Password()
	const sessions, programs = 4, 12
	pooler := localpg.StartPooler(t, direct.Host, sessions, map[string]string{direct.User.Username(): password})
	through := *direct
	through.Host = pooler.Address()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var group sync.WaitGroup
	for range programs {
		pool := localpg.Pool(t, through.String(), func(c *pgxpool.Config) {
			c.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeExec
			c.MaxConns = 2
		})
		group.Go(func() {
			o := knowing(expand, contract)
			o.Partitions = 7
			s, err := store.Open(ctx, pool, o)
			if err != nil {
				t.Error(err)
				return
			}
			s.Close()
		})
	}
	group.Wait()
	pool := localpg.Pool(t, direct.String())
	require.Equal(t, []string{"7 3 2"}, names(t, pool, `select (select count(*) from maestro.partitions) || ' ' || version || ' ' || least_program
		from maestro.schema_version`))
	require.Empty(t, names(t, pool, `select locktype from pg_locks l join pg_stat_activity a using (pid)
		where locktype = 'advisory' and a.datname = current_database()`), "no session keeps a lock")
}

func TestMigrationsSayWhichProgramTheyTolerate(t *testing.T) {
	t.Parallel()
	for want, files := range map[string]map[string]string{
		"":                   {"001_a.sql": "-- least program: 1\nselect 1", "002_b.sql": "-- least program: 2\nselect 2"},
		"expected 1 to 1":    {"001_a.sql": "-- least program: 2\nselect 1"},
		"expected the first": {"001_a.sql": "select 1"},
		"begins with 002_":   {"001_a.sql": "-- least program: 1\nselect 1", "003_b.sql": "-- least program: 1\nselect 2"},
	} {
		steps := fstest.MapFS{}
		for name, text := range files {
			steps[name] = &fstest.MapFile{Data: []byte(text)}
		}
		err := store.ReadSteps(steps)
		require.Equal(t, want == "", err == nil, want)
		if err != nil {
			require.ErrorContains(t, err, want)
			require.True(t, strings.HasPrefix(err.Error(), "migration 00"))
		}
	}
}
