package store_test

import (
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/store"
)

func TestManyOpenAnEmptyDatabaseAtOnce(t *testing.T) {
	t.Parallel()
	pool := newPool(t, func(c *pgxpool.Config) { c.MaxConns = 16 })
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			s, err := store.Open(t.Context(), pool, store.Options{Partitions: 7})
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			if s.Partitions() != 7 {
				t.Errorf("%d partitions", s.Partitions())
			}
		})
	}
	group.Wait()
	var rows int
	require.NoError(t, pool.QueryRow(t.Context(), `select count(*) from maestro.partitions`).Scan(&rows))
	require.Equal(t, 7, rows)
}

func TestTheNumberOfPartitionsIsFixed(t *testing.T) {
	t.Parallel()
	pool := newPool(t)
	require.Equal(t, 64, open(t, pool, store.Options{}).Partitions())
	require.Equal(t, 3, open(t, pool, store.Options{Namespace: "other", Partitions: 3}).Partitions())
	require.Equal(t, 3, open(t, pool, store.Options{Namespace: "other"}).Partitions(), "0 takes what there is")

	var mismatch *store.PartitionsError
	_, err := store.Open(t.Context(), pool, store.Options{Namespace: "other", Partitions: 4})
	require.ErrorAs(t, err, &mismatch)
	require.Equal(t, store.PartitionsError{Namespace: "other", Found: 3, Requested: 4}, *mismatch)
	require.ErrorAs(t, store.Migrate(t.Context(), pool, store.Options{Partitions: 5}), &mismatch)

	_, err = store.Open(t.Context(), pool, store.Options{EventPartitions: 2})
	require.ErrorContains(t, err, "0 event partitions, not 2")
	for _, impossible := range []store.Options{{Namespace: "new", Partitions: -1}, {Namespace: "new", Partitions: 1 << 15},
		{Namespace: "new", EventPartitions: -1}} {
		_, err = store.Open(t.Context(), pool, impossible)
		require.ErrorContains(t, err, "expected 1 to")
	}
}

func TestEventPartitionsDivideTheBigTables(t *testing.T) {
	t.Parallel()
	pool := newPool(t)
	open(t, pool, store.Options{Partitions: 4, EventPartitions: 3})
	var parts int
	require.NoError(t, pool.QueryRow(t.Context(), `select count(*) from pg_inherits where inhparent in
		('maestro.log'::regclass, 'maestro.receipts'::regclass, 'maestro.snapshots'::regclass)`).Scan(&parts))
	require.Equal(t, 9, parts)
}

func TestThePrintedSQLIsTheMigration(t *testing.T) {
	t.Parallel()
	for _, o := range []store.Options{{Partitions: 5}, {Namespace: "order", EventPartitions: 2}} {
		printed, err := store.MigrationSQL(o)
		require.NoError(t, err)
		byHand, byOpen := newPool(t), newPool(t)
		_, err = byHand.Exec(t.Context(), printed)
		require.NoError(t, err)
		want := open(t, byOpen, o).Partitions()
		require.Equal(t, describe(t, byOpen), describe(t, byHand))

		// Opening the namespace changes nothing and needs no privilege to create anything.
		_, err = byHand.Exec(t.Context(), `set default_transaction_read_only = on`)
		require.NoError(t, err)
		require.Equal(t, want, open(t, byHand, o).Partitions())
	}
	_, err := store.MigrationSQL(store.Options{Partitions: -1})
	require.Error(t, err)
}

// describe lists the columns and constraints of all schemas except those of Postgres.
func describe(t *testing.T, pool *pgxpool.Pool) (lines []string) {
	t.Helper()
	require.NoError(t, pool.QueryRow(t.Context(), `select array_agg(line order by line) from (
		select format('%s.%s.%s %s %s', table_schema, table_name, column_name, data_type, is_nullable) as line
		from information_schema.columns where table_schema not in ('pg_catalog', 'information_schema')
		union all
		select indexdef from pg_indexes where schemaname not in ('pg_catalog', 'information_schema')) l`).Scan(&lines))
	require.NotEmpty(t, lines)
	return lines
}
