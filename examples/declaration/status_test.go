package declaration_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/examples/declaration"
	"github.com/maestro-es/maestro/internal/localpg"
	"github.com/maestro-es/maestro/store"
)

func TestStatusWantsEveryEvent(t *testing.T) {
	t.Parallel()
	require.NoError(t, declaration.Status.Err())
	for _, event := range declaration.Definition.EventNames() {
		require.True(t, declaration.Status.Wants("declaration", event), event)
	}
	require.Contains(t, declaration.Projections(), declaration.Status)
}

type row struct {
	Status      string
	AmountCents int64
	UpdatedAt   time.Time
}

func TestTheTableSaysWhereADeclarationStands(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	conn, err := pgx.Connect(ctx, localpg.Database(t))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	for range 2 { // the setup runs at every start of a worker
		_, err = conn.Exec(ctx, declaration.Status.Setup())
		require.NoError(t, err)
	}

	now := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	instance := declaration.Definition.New("86791")
	for _, step := range []struct {
		command aggregate.Command[declaration.Declaration]
		status  string
		cents   int64
	}{
		{declaration.Save{AmountCents: 900}, "saved", 900},
		{declaration.Submit{AmountCents: 1000}, "submitted", 1000},
		{declaration.Approve{Role: "administration"}, "submitted", 1000},
		{declaration.Reject{Role: "supervisor"}, "rejected", 1000},
		{declaration.Submit{AmountCents: 1100}, "submitted", 1100},
		{declaration.FinalApprove{Role: "supervisor"}, "approved", 1100},
		{declaration.RequestPayment{}, "payment_requested", 1100},
		{declaration.HandlePayment{}, "paid", 1100},
	} {
		now = now.Add(time.Hour)
		tx, err := conn.Begin(ctx)
		require.NoError(t, err)
		name, body, err := declaration.Definition.Encode(step.command)
		require.NoError(t, err)
		decided, err := instance.Execute(name, body, aggregate.Metadata{})
		require.NoError(t, err)
		var events []store.Event
		for _, d := range decided {
			events = append(events, store.Event{Aggregate: store.Key{Type: "declaration", ID: "86791"}, Recorded: d.Recorded,
				Value: d.Value, RecordedAt: now})
		}
		require.NoError(t, declaration.Status.Project(ctx, tx, events))
		require.NoError(t, tx.Commit(ctx))

		rows, err := conn.Query(ctx, "select status, amount_cents, updated_at from declaration_status where id = '86791'")
		require.NoError(t, err)
		got, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[row])
		require.NoError(t, err)
		got.UpdatedAt = got.UpdatedAt.UTC()
		require.Equal(t, row{step.status, step.cents, now}, got)
	}
}
