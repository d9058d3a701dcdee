package repository_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro"
	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/internal/localnats"
	"github.com/maestro-es/maestro/internal/localpg"
	"github.com/maestro-es/maestro/projections"
	"github.com/maestro-es/maestro/repository"
	"github.com/maestro-es/maestro/store"
)

const awhile = 30 * time.Second

// once lets each account have one deposit.
func once(name string) *projections.Projection {
	return projections.Define(name, projections.Setup(`create table if not exists deposited (id text primary key)`),
		projections.Each(account, func(ctx context.Context, tx pgx.Tx, e projections.Event[Deposited]) error {
			_, err := tx.Exec(ctx, `insert into deposited values ($1)`, e.Aggregate.ID)
			return err
		}))
}

// said keeps the lines of a logger.
type said struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *said) count(text string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Count(s.b.String(), text)
}

// A repository that does not keep the workers' read models would let a name be taken twice.
func TestARepositoryKeepsWhatWorkersKeepOrRefuses(t *testing.T) {
	t.Parallel()
	url := localpg.Database(t)
	s, pool := postgres(t, url), localpg.Pool(t, url)
	logger := slog.New(slog.DiscardHandler)
	without := accounts(t, s)
	_, err := without.Evaluate(t.Context(), "0", Deposit{Amount: 1}, repository.Evaluation{})
	require.NoError(t, err, "nobody keeps anything")

	nc := localnats.ForTest(t).Connect(t)
	work := func(logger *slog.Logger, models ...*projections.Projection) {
		ctx, stop := context.WithCancel(context.Background())
		stopped := make(chan error, 1)
		go func() {
			stopped <- maestro.Run(ctx, maestro.Config{NATS: nc, Database: pool, Partitions: 4, Aggregates: []aggregate.Type{account},
				Projections: models, Logger: logger})
		}()
		t.Cleanup(func() { stop(); require.NoError(t, <-stopped) })
	}
	work(logger, once("once"))
	var missing *repository.ProjectionsError
	require.Eventually(t, func() bool { // when it owns the partition
		_, err := without.Evaluate(t.Context(), "0", Deposit{Amount: 0}, repository.Evaluation{})
		return errors.As(err, &missing)
	}, awhile, 10*time.Millisecond)
	require.ErrorContains(t, missing, `projection "once", version 1`)
	require.ErrorContains(t, missing, "give them in repository.Config.Projections")
	_, err = repository.New(t.Context(), account, s, repository.Config{Logger: logger})
	require.ErrorAs(t, err, &missing)
	_, err = repository.New(t.Context(), account, store.NewMemory(1), repository.Config{Projections: []*projections.Projection{once("once")}})
	require.ErrorContains(t, err, "needs a store in Postgres")

	with, err := repository.New(t.Context(), account, s, repository.Config{Logger: logger,
		Projections: []*projections.Projection{once("once")}})
	require.NoError(t, err)
	_, err = with.Evaluate(t.Context(), "1", Deposit{Amount: 1}, repository.Evaluation{})
	require.NoError(t, err)
	_, err = with.Evaluate(t.Context(), "1", Deposit{Amount: 1}, repository.Evaluation{})
	require.ErrorContains(t, err, "duplicate key")
	var deposited int
	require.NoError(t, pool.QueryRow(t.Context(), `select count(*) from maestro_read.deposited where id = '1'`).Scan(&deposited))
	require.Equal(t, 1, deposited)

	var log said
	work(slog.New(slog.NewTextHandler(&log, nil)))
	require.Eventually(t, func() bool { return log.count("read models were set up that this program does not keep") == 1 }, awhile, 10*time.Millisecond)
	require.Eventually(t, func() bool { return log.count("msg=ready") == 1 }, awhile, 10*time.Millisecond)
	_, err = pool.Exec(t.Context(), `delete from maestro.projections where name = 'once'`)
	require.NoError(t, err)
	_, err = repository.New(t.Context(), account, s, repository.Config{Logger: logger})
	require.NoError(t, err, "nobody keeps it any more")
}

// A call without a deadline does not wait for ever, and its error names the cause.
func TestACallWithoutADeadlineEndsWithTheCause(t *testing.T) {
	t.Parallel()
	url := localpg.Database(t)
	s, pool := postgres(t, url), localpg.Pool(t, url)
	r, err := repository.New(t.Context(), account, s, repository.Config{Logger: slog.New(slog.DiscardHandler), Patience: time.Second})
	require.NoError(t, err)
	_, err = pool.Exec(t.Context(), `alter table maestro.log rename to mislaid`)
	require.NoError(t, err)
	ctx := context.Background()
	_, err = r.Evaluate(ctx, "1", Deposit{Amount: 1}, repository.Evaluation{})
	var unknown *repository.UnknownError
	require.ErrorAs(t, err, &unknown)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, `relation "maestro.log" does not exist`)
	require.ErrorContains(t, err, unknown.CommandID)
	_, err = r.Fetch(ctx, "1")
	require.ErrorContains(t, err, `relation "maestro.log" does not exist`)

	_, err = pool.Exec(ctx, `alter table maestro.mislaid rename to log`)
	require.NoError(t, err)
	result, err := r.Evaluate(ctx, "1", Deposit{Amount: 1}, repository.Evaluation{CommandID: unknown.CommandID})
	require.NoError(t, err)
	require.EqualValues(t, 1, result.Outcome.Sequence, "it takes effect once")

	s.(*store.Postgres).Close()
	_, err = r.Evaluate(ctx, "2", Deposit{Amount: 1}, repository.Evaluation{})
	require.ErrorContains(t, err, "closed pool")
	_, err = r.Fetch(ctx, "2")
	require.ErrorContains(t, err, "closed pool")
}
