package account

import (
	"github.com/jackc/pgx/v5"

	"github.com/maestro-es/maestro/projections"
)

// Balances is the table balances: the owner and the balance of each account. The table is written
// in the transaction that commits the events, so a client that has the answer to a command finds
// its effect there. Other programs read the table as maestro_read.balances.
var Balances = projections.Define("balances",
	projections.Setup(`create table if not exists balances (id text primary key, owner text not null, cents bigint not null)`),
	projections.Queue(Definition, func(into *pgx.Batch, e projections.Event[Opened]) error {
		into.Queue(`insert into balances (id, owner, cents) values ($1, $2, 0)`, e.Aggregate.ID, e.Data.Owner)
		return nil
	}),
	projections.Queue(Definition, func(into *pgx.Batch, e projections.Event[Deposited]) error {
		return add(into, e.Aggregate.ID, e.Data.Cents)
	}),
	projections.Queue(Definition, func(into *pgx.Batch, e projections.Event[Withdrawn]) error {
		return add(into, e.Aggregate.ID, -e.Data.Cents)
	}))

func add(into *pgx.Batch, id string, cents int64) error {
	into.Queue(`update balances set cents = cents + $2 where id = $1`, id, cents)
	return nil
}
