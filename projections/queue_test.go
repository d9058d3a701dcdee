package projections_test

import (
	"context"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/internal/localpg"
	"github.com/maestro-es/maestro/projections"
)

func queueing(queue func(into *pgx.Batch, e projections.Event[payment]) error) *projections.Projection {
	return projections.Define("balance", projections.Queue(accounts, queue))
}

func TestQueuedSQLIsForTheEvent(t *testing.T) {
	t.Parallel()
	p := queueing(func(into *pgx.Batch, e projections.Event[payment]) error {
		into.Queue("update balance set cents = cents + $1 where id = $2", e.Data.amount(), e.Aggregate.ID)
		return nil
	})
	require.NoError(t, p.Err())
	require.True(t, p.Queued())
	require.Equal(t, []string{"paid_in", "paid_out"}, wants(p))
	var batch pgx.Batch
	require.NoError(t, p.Queue(&batch, event(paidIn{Cents: 5})[0]))
	require.NoError(t, p.Queue(&batch, event(paidOut{Cents: 3})[0]))
	require.Len(t, batch.QueuedQueries, 2)
	require.Equal(t, []any{int64(-3), "1"}, batch.QueuedQueries[1].Arguments)
	require.ErrorContains(t, p.Queue(&batch, event(opened{})[0]), "has the Go type")
}

func TestAQueueThatFailsSaysWhich(t *testing.T) {
	t.Parallel()
	for _, cause := range []error{errors.New("no room"), aggregate.Reject("name_taken", "it is taken")} {
		err := queueing(func(*pgx.Batch, projections.Event[payment]) error { return cause }).Queue(&pgx.Batch{}, event(paidIn{})[0])
		require.ErrorIs(t, err, cause)
		require.ErrorContains(t, err, `projection "balance": `)
	}
	err := queueing(func(*pgx.Batch, projections.Event[payment]) error { panic("no room") }).Queue(&pgx.Batch{}, event(paidIn{})[0])
	require.EqualError(t, err, "projection balance panicked: no room")
}

// The result would come after everything is committed. The projection could no longer refuse then.
func TestWhatQueuedSQLReturnsCannotBeRead(t *testing.T) {
	t.Parallel()
	p := queueing(func(into *pgx.Batch, _ projections.Event[payment]) error {
		into.Queue("select 1").QueryRow(func(pgx.Row) error { return nil })
		return nil
	})
	require.ErrorContains(t, p.Queue(&pgx.Batch{}, event(paidIn{})[0]), "use projections.Each to read it")
}

func TestAQueuedProjectionRunsInATransactionToo(t *testing.T) {
	t.Parallel()
	conn, err := pgx.Connect(t.Context(), localpg.Database(t))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	p := queueing(func(into *pgx.Batch, e projections.Event[payment]) error {
		into.Queue("insert into balance values ($1)", e.Data.amount())
		return nil
	})
	tx, err := conn.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "create table balance (cents bigint)")
	require.NoError(t, err)
	require.NoError(t, p.Project(t.Context(), tx, append(event(paidIn{Cents: 5}), event(paidOut{Cents: 3})...)))
	var sum int64
	require.NoError(t, tx.QueryRow(t.Context(), "select sum(cents) from balance").Scan(&sum))
	require.EqualValues(t, 2, sum)
	require.NoError(t, tx.Rollback(t.Context()))
}
