package store_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
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

// counts is a read model with few rows, which all partitions write.
func counts(setup ...string) *store.ReadModel {
	return model("counts", `create table if not exists counts (k int primary key, n bigint not null);`+strings.Join(setup, ""))
}

const countUp = `insert into counts values ($1, 1) on conflict (k) do update set n = counts.n + 1`

// lines is a log that tests can read.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) count(part string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), part)
}

// Sixteen writers in three processes each write ten of twenty rows in any order. Nothing worse can
// happen to a read model.
func TestRowsThatAllPartitionsWrite(t *testing.T) {
	const stores, writers, commits, rows = 3, 16, 20, 20
	for name, add := range map[string]func(c *store.Commit, m *store.ReadModel, keys []int){
		"queued": func(c *store.Commit, m *store.ReadModel, keys []int) {
			for _, k := range keys {
				c.Statements = append(c.Statements, of(m, &pgx.QueuedQuery{SQL: countUp, Arguments: []any{k}})...)
			}
		},
		"in hand": func(c *store.Commit, m *store.ReadModel, keys []int) {
			c.Handlers = []store.Handler{{Model: m, Run: func(ctx context.Context, tx pgx.Tx) error {
				for _, k := range keys {
					if _, err := tx.Exec(ctx, countUp, k); err != nil {
						return err
					}
				}
				return nil
			}}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			database, m := localpg.Database(t), counts()
			var log [stores]lines
			var all [stores]*store.Postgres
			for i := range all {
				pool := localpg.Pool(t, database, func(c *pgxpool.Config) { c.MaxConns = 8 })
				all[i] = open(t, pool, store.Options{Partitions: writers, Logger: slog.New(slog.NewTextHandler(&log[i], nil))})
			}
			require.NoError(t, all[0].Setup(t.Context(), m))
			var group sync.WaitGroup
			for w := range writers {
				group.Go(func() {
					for position := range commits {
						keys := rand.Perm(rows)[:10] //nolint:gosec // no secret
						require.NoError(t, persist(t.Context(), func() error {
							c := &store.Commit{Partition: w, Position: int64(position), Events: in(w).Events}
							if position > 0 {
								c.Time = committedAt
							}
							c.Events[0].Position, c.Events[0].Sequence = int64(position)+1, int64(position)+1
							add(c, m, keys)
							return all[w%stores].Commit(t.Context(), c)
						}))
					}
				})
			}
			group.Wait()
			pool := localpg.Pool(t, database)
			require.Equal(t, []string{fmt.Sprint(10 * writers * commits)}, names(t, pool, `select sum(n)::text from maestro_read.counts`))
			require.Equal(t, []string{fmt.Sprint(writers * commits)}, names(t, pool, `select count(*)::text from maestro.events`))
			var deadlocks int
			require.NoError(t, pool.QueryRow(t.Context(), `select deadlocks from pg_stat_database where datname = current_database()`).Scan(&deadlocks))
			t.Logf("%d deadlocks", deadlocks)
			require.LessOrEqual(t, deadlocks, 2*writers)
			for i := range all {
				require.LessOrEqual(t, log[i].count("projection=counts"), 1, "it is said once")
			}
		})
	}
}

// persist repeats a commit after faults of the moment, as a lane does.
func persist(ctx context.Context, commit func() error) error {
	for {
		err := commit()
		if err == nil || !store.Judge(err).Passes() || ctx.Err() != nil {
			return err
		}
	}
}

// After a conflict, the commits with that read model go one at a time. The store logs this once.
// Other commits go on beside them.
func TestAConflictIsRemembered(t *testing.T) {
	t.Parallel()
	var log lines
	pool := newPool(t, func(c *pgxpool.Config) { c.MaxConns = 8 })
	s := open(t, pool, store.Options{Partitions: 8, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	m := counts(`insert into counts values (1, 0)`)
	require.NoError(t, s.Setup(t.Context(), m))
	require.Empty(t, s.Contended())
	holder, err := pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = holder.Exec(t.Context(), `update maestro_counts_1.counts set n = 0`)
	require.NoError(t, err)
	outcomes := make(chan error, 3)
	for p := range 3 {
		c := in(p)
		c.Receipts[0].CommandID, c.DeadLetters = fmt.Sprint(p), nil
		c.Statements = of(m, &pgx.QueuedQuery{SQL: countUp, Arguments: []any{1}})
		go func() { outcomes <- s.Commit(t.Context(), c) }()
	}
	require.Eventually(t, func() bool { return len(s.Contended()) > 0 }, patience, tick)
	require.Equal(t, []string{"counts"}, s.Contended())
	other := in(5)
	other.DeadLetters = nil
	require.NoError(t, s.Commit(t.Context(), other), "a commit without the read model waits for nobody")
	inFlight := `select count(*)::text from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`
	require.Eventually(t, func() bool { return names(t, pool, inFlight)[0] == "1" }, patience, tick)
	require.NoError(t, holder.Rollback(t.Context()))
	for range 3 {
		require.NoError(t, <-outcomes)
	}
	require.Equal(t, []string{"3"}, names(t, pool, `select n::text from maestro_read.counts`))
	require.Equal(t, 1, log.count("projection=counts"))
}

// A commit waits until another process has had its turn, even if that takes longer than 100 ms.
func TestATurnIsWaitedFor(t *testing.T) {
	t.Parallel()
	pool := newPool(t, func(c *pgxpool.Config) { c.MaxConns = 8 })
	s := open(t, pool, store.Options{Partitions: 2})
	m := counts()
	require.NoError(t, s.Setup(t.Context(), m))
	s.Contend(m)
	other := open(t, pool, store.Options{Partitions: 2})
	other.Contend(m)
	holding, release, held := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	first := &store.Commit{Partition: 1, Handlers: []store.Handler{{Model: m, Run: func(context.Context, pgx.Tx) error {
		close(holding)
		<-release
		return nil
	}}}}
	go func() { held <- other.Commit(t.Context(), first) }()
	<-holding
	c := in(0)
	c.Statements = of(m, &pgx.QueuedQuery{SQL: countUp, Arguments: []any{1}})
	waiting := make(chan error, 1)
	go func() { waiting <- s.Commit(t.Context(), c) }()
	var began []string // one transaction waits throughout, longer than the limit for a row lock
	waits := `select xact_start::text from pg_stat_activity where datname = current_database() and wait_event = 'advisory'
		and now() - xact_start > '300ms'`
	require.Eventually(t, func() bool { began = names(t, pool, waits); return len(began) == 1 }, patience, tick)
	require.Empty(t, waiting)
	close(release)
	require.NoError(t, <-held)
	require.NoError(t, <-waiting)
}

// Rows are locked in the order of the keys, whatever the order of the events.
func TestQueuedSQLIsSortedByItsKeys(t *testing.T) {
	t.Parallel()
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeCacheStatement, pgx.QueryExecModeExec} {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			pool := newPool(t, func(c *pgxpool.Config) { c.ConnConfig.DefaultQueryExecMode = mode })
			s := open(t, pool, store.Options{})
			m := model("sorted", `create table if not exists sorted (at bigserial, k text, j int, what text)`)
			m.SortedBy = []int{2, 1}
			require.NoError(t, s.Setup(t.Context(), m))
			c, pear := &store.Commit{}, "pear"
			add := func(sql string, arguments ...any) {
				c.Statements = append(c.Statements, of(m, &pgx.QueuedQuery{SQL: sql, Arguments: arguments})...)
			}
			insert := `insert into sorted (j, k, what) values ($1::int, $2::text, $3::text)`
			add(insert, 7, "plum", "a")
			add(insert, 1, &pear, "b")
			add(insert, 0, "apple", "c")
			add(insert, 1, "pear", "d")
			add(`insert into sorted (j, k, what) values (@j, @k, 'e')`, pgx.NamedArgs{"j": int64(0), "k": "apple"})
			require.NoError(t, s.Commit(t.Context(), c))
			require.Equal(t, []string{"apple 0 c", "apple 0 e", "pear 1 b", "pear 1 d", "plum 7 a"},
				names(t, pool, `select k || ' ' || j || ' ' || what from maestro_read.sorted order by at`))

			next := &store.Commit{Statements: of(m, &pgx.QueuedQuery{SQL: insert, Arguments: []any{1, "a", "f"}},
				&pgx.QueuedQuery{SQL: insert, Arguments: []any{1, time.Now(), "g"}})}
			var failed *store.StatementError
			require.ErrorAs(t, s.Commit(t.Context(), next), &failed)
			require.Equal(t, 1, failed.Index)
			require.ErrorContains(t, failed, "projections.SortedBy(2): a key is a string, an integer or a UUID, not a time.Time")
		})
	}
}
