package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/internal/localpg"
	"github.com/maestro-es/maestro/store"
)

// strangers are functions of another user that fit calls of Postgres's functions better than
// Postgres's own do, because Postgres's own take any type, have defaults, or take a type that a
// literal is not preferred for. Each stranger leaves a trace that outlives its transaction, and
// fails.
var strangers = map[string]string{
	"unnest(smallint[])":          "setof smallint",
	"unnest(integer[])":           "setof integer",
	"unnest(bigint[])":            "setof bigint",
	"unnest(text[])":              "setof text",
	"unnest(bytea[])":             "setof bytea",
	"unnest(timestamptz[])":       "setof timestamptz",
	"hashtextextended(text, int)": "bigint",
	"pg_advisory_lock(text)":      "void",
	"pg_advisory_unlock(text)":    "boolean",
	"pg_terminate_backend(int)":   "boolean",
	"convert_from(bytea, text)":   "text",
	"to_jsonb(text)":              "jsonb",
	"obj_description(oid, text)":  "text",
	"format(text, text)":          "text",
	"array_agg(text)":             "text[]",
}

// invite creates the strangers in a database, as a role that may create objects in its schema
// public.
func invite(t *testing.T, pool *pgxpool.Pool) (ran func() bool) {
	t.Helper()
	exec := func(sql string) {
		_, err := pool.Exec(context.WithoutCancel(t.Context()), sql)
		require.NoError(t, err, sql)
	}
	role := pgx.Identifier{"stranger of " + pool.Config().ConnConfig.Database}.Sanitize()
	exec(`create role ` + role)
	t.Cleanup(func() { exec(`drop owned by ` + role + `; drop role ` + role) })
	exec(`grant create, usage on schema public to ` + role)
	exec(`create sequence public.traces`)
	for signature, returns := range strangers {
		exec(`set role ` + role + `; create function public.` + signature + ` returns ` + returns + ` language plpgsql as $$ begin
			perform pg_catalog.nextval('public.traces'); raise exception '` + signature + ` of a stranger runs'; end $$; reset role`)
	}
	return func() (traces bool) {
		require.NoError(t, pool.QueryRow(t.Context(), `select is_called from public.traces`).Scan(&traces))
		return traces
	}
}

// Before version 15 of Postgres, everybody may create functions in schema public of a new
// database.
func TestFunctionsOfStrangersDoNotRun(t *testing.T) {
	t.Parallel()
	pool := localpg.Pool(t, localpg.Database(t))
	ran := invite(t, pool)
	require.NoError(t, store.Migrate(t.Context(), pool, store.Options{Namespace: "parted", EventPartitions: 2}))
	s := open(t, pool, store.Options{Partitions: 2})
	require.NoError(t, s.Setup(t.Context(), &store.ReadModel{Name: "model", Version: 1, Setup: `create table if not exists kept (id text)`}))
	p, err := s.Acquire(t.Context(), 0, "owner")
	require.NoError(t, err)

	commit := commitOf()
	commit.Epoch = p.Epoch
	require.NoError(t, s.Commit(t.Context(), commit))
	require.NoError(t, s.SaveSnapshots(t.Context(), 0, []store.Snapshot{{Aggregate: key, Snapshot: aggregate.Snapshot{Sequence: 1, Version: 1, Body: []byte(`{}`)}}}))
	histories, err := s.Load(t.Context(), 0, []store.Query{{Key: key, SnapshotVersion: 1}})
	require.NoError(t, err)
	require.Len(t, histories, 1)
	_, err = s.Events(t.Context(), 0, key, 0, 10)
	require.NoError(t, err)
	_, err = s.Log(t.Context(), 0, 0, 10)
	require.NoError(t, err)
	found, err := s.Receipts(t.Context(), 0, []store.CommandKey{commit.Receipts[0].Key()})
	require.NoError(t, err)
	require.Len(t, found, 1)
	_, err = s.Partition(t.Context(), 0)
	require.NoError(t, err)
	_, err = s.Rows(t.Context())
	require.NoError(t, err)
	_, err = pool.Exec(t.Context(), `select body, maestro.json('{}', 1::smallint), maestro.json('x', 2::smallint) from maestro.events`)
	require.NoError(t, err)

	evictedBySuccessor(t, s, pool)
	_, err = s.Prune(t.Context(), 0, time.Now(), 10)
	require.NoError(t, err)
	s.Close()
	none := func(context.Context, *store.Postgres) error { return nil }
	require.NoError(t, store.Repartition(t.Context(), pool, store.Options{Partitions: 3}, none, none))
	require.NoError(t, store.Republish(t.Context(), pool, store.Options{}, "owner", func(context.Context) error { return nil },
		func(context.Context, *store.Postgres, []store.Partition) error { return nil }))
	require.False(t, ran())
}

// evictedBySuccessor takes over a partition while a session stands still in the middle of a
// commit.
func evictedBySuccessor(t *testing.T, s *store.Postgres, pool *pgxpool.Pool) {
	t.Helper()
	conn, err := pgx.ConnectConfig(t.Context(), pool.Config().ConnConfig)
	require.NoError(t, err)
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	_, err = conn.Exec(t.Context(), `begin; update maestro.partitions set owner = '' where partition = 0`)
	require.NoError(t, err)
	_, err = s.Acquire(t.Context(), 0, "successor")
	require.NoError(t, err)
}
