package counter

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/projections"
)

// Names is the table counter_names: each name, and the one counter that has it. The table is
// written in the transaction that commits the event. Two counters therefore cannot get the same
// name, even if they live on different workers.
var Names = projections.Define("counter_names", projections.Each(Definition, project), projections.Setup(`
	create table if not exists counter_names (
		name       text primary key,
		counter_id text not null
	);
	create index if not exists counter_names_counter_id on counter_names (counter_id)`))

func project(ctx context.Context, tx pgx.Tx, e projections.Event[Named]) error {
	// Because of "on conflict", a taken name is no error to Postgres, so the transaction stays
	// usable.
	inserted, err := tx.Exec(ctx, `insert into counter_names (name, counter_id) values ($1, $2) on conflict do nothing`,
		e.Data.Name, e.Aggregate.ID)
	if err != nil {
		return err
	}
	if inserted.RowsAffected() == 0 {
		return aggregate.Reject("name_taken", "another counter has the name %q", e.Data.Name)
	}
	_, err = tx.Exec(ctx, `delete from counter_names where counter_id = $1 and name <> $2`, e.Aggregate.ID, e.Data.Name)
	return err
}
