package parcel

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/maestro-es/maestro/projections"
)

// Mood says what the read model does with an event besides its work.
type Mood string

// The moods. If [Mood.Refuses] is true for a mood, the command must be refused as
// "projection_failed", and no other command with it.
const (
	Fine    Mood = ""
	Slow    Mood = "slow"
	Shared  Mood = "shared" // with all partitions
	Panics  Mood = "panics"
	Ignores Mood = "ignores"
	Ends    Mood = "ends"    // its transaction
	Weakens Mood = "weakens" // the session's commits
)

// Refuses tells whether a command with that mood must be refused.
func (m Mood) Refuses() bool { return m == Panics || m == Ignores || m == Ends }

// Projections returns one projection with two tables. One has a row for each parcel. The other has
// one row in which all partitions count events.
func Projections() []*projections.Projection {
	return []*projections.Projection{projections.Define("parcels", projections.Each(Definition, project), projections.Setup(`
		create table if not exists parcels (id text primary key, bytes bigint not null);
		create table if not exists parcels_shared (id int primary key, n bigint not null);
		insert into parcels_shared values (1, 0) on conflict do nothing`))}
}

func project(ctx context.Context, tx pgx.Tx, e projections.Event[Packed]) error {
	switch e.Data.Mood {
	case Panics:
		panic("a read model in a bad mood")
	case Ignores:
		_, _ = tx.Exec(ctx, `insert into parcels_shared values (1, 0)`) // it is there already
		return nil
	case Ends:
		_, _ = tx.Exec(ctx, `rollback`)
		return nil
	case Weakens:
		if _, err := tx.Exec(ctx, `set synchronous_commit = off`); err != nil {
			return err
		}
	case Slow:
		if _, err := tx.Exec(ctx, `select pg_sleep(0.3)`); err != nil {
			return err
		}
	case Shared:
		if _, err := tx.Exec(ctx, `update parcels_shared set n = n + 1`); err != nil {
			return err
		}
	default:
	}
	_, err := tx.Exec(ctx, `insert into parcels values ($1, $2) on conflict (id) do update set bytes = parcels.bytes + excluded.bytes`,
		e.Aggregate.ID, len(e.Data.Body))
	return err
}
