package declaration

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/projections"
)

// Status is the table declaration_status: where each declaration stands now. updated_at is the time of the log, which
// rises with every event; when the step was taken is in the event.
var Status = projections.InTransactionBatch("declaration_status", Definition, project, projections.Setup(`
	create table if not exists declaration_status (
		id           text primary key,
		status       text not null,
		amount_cents bigint not null,
		updated_at   timestamptz not null
	)`))

// project takes the events of a transaction at once, and asks each itself what comes after it. Of several events of one declaration
// the last counts.
func project(ctx context.Context, tx pgx.Tx, events []projections.Event[aggregate.Event[Declaration]]) error {
	last := map[string]projections.Event[aggregate.Event[Declaration]]{}
	for _, e := range events {
		last[e.Aggregate.ID] = e
	}
	var ids, statuses []string
	var cents []int64
	var times []time.Time
	for id, e := range last {
		now := e.Data.Evolve(Declaration{})
		ids, statuses, cents, times = append(ids, id), append(statuses, now.Status), append(cents, now.AmountCents), append(times, e.RecordedAt)
	}
	_, err := tx.Exec(ctx, `
		insert into declaration_status (id, status, amount_cents, updated_at)
		select unnest($1::text[]), unnest($2::text[]), unnest($3::bigint[]), unnest($4::timestamptz[])
		on conflict (id) do update
		set status = excluded.status, amount_cents = excluded.amount_cents, updated_at = excluded.updated_at`,
		ids, statuses, cents, times)
	return err
}
