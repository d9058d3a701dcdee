package declaration

import (
	"github.com/jackc/pgx/v5"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/projections"
)

// Status is the table declaration_status, with the present status of each declaration. updated_at
// is the time of the log, which rises with every event. The event itself says when the step was
// taken.
var Status = projections.Define("declaration_status", projections.Queue(Definition, project), projections.Setup(`
	create table if not exists declaration_status (
		id           text primary key,
		status       text not null,
		amount_cents bigint not null,
		updated_at   timestamptz not null
	)`))

// project asks each event which status comes after it.
func project(into *pgx.Batch, e projections.Event[aggregate.Event[Declaration]]) error {
	now := e.Data.Evolve(Declaration{})
	into.Queue(`
		insert into declaration_status (id, status, amount_cents, updated_at) values ($1, $2, $3, $4)
		on conflict (id) do update
		set status = excluded.status, amount_cents = excluded.amount_cents, updated_at = excluded.updated_at`,
		e.Aggregate.ID, now.Status, now.AmountCents, e.RecordedAt)
	return nil
}
