package hostile

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/projections"
)

// ModelHabit is a habit of a read model that has the transaction in hand. The habit gets the id of
// the aggregate.
type ModelHabit struct {
	Habit
	Project func(ctx context.Context, tx pgx.Tx, id string) error
}

// QueueHabit is a habit of queued SQL.
type QueueHabit struct {
	Habit
	Queue func(into *pgx.Batch, id string) error
}

// InHand are the habits of read models that have the transaction in hand.
func InHand() (all []ModelHabit) {
	return append(append(append(all, Transactions...), Sessions...), Failing...)
}

// Projections are the read models: a good one that counts the events of every ledger, one that
// writes down what its session looks like, and two that do what events tempt them to.
func Projections() []*projections.Projection {
	return []*projections.Projection{
		projections.Define("ledger_counts", projections.Queue(Definition, countEvent), projections.Setup(
			`create table if not exists ledger_counts (id text primary key, events bigint not null)`)),
		projections.Define("ledger_sessions", projections.Each(Definition, writeDown), projections.Setup(
			`create table if not exists ledger_sessions (id text not null, looks text not null)`)),
		projections.Define("ledger_hostile", projections.Each(Definition, temptInHand), projections.Batch(Definition, temptBatch),
			projections.Setup(tables("things", "hand"))),
		projections.Define("ledger_hostile_queue", projections.Queue(Definition, temptQueue), projections.Setup(tables("queued", "queue"))),
	}
}

// tables are the tables of the hostile read models: things, which has one row from the start, and a
// table that they drop.
func tables(things, form string) string {
	return `create table if not exists ` + things + ` (id text primary key, n bigint not null default 0 check (n < 1000),
			other text references ` + things + ` deferrable initially deferred, text text);
		insert into ` + things + ` (id) values ('taken') on conflict do nothing;
		create table if not exists ` + form + `_dropped (id text)`
}

func countEvent(into *pgx.Batch, e projections.Event[aggregate.Event[Ledger]]) error {
	into.Queue(`insert into ledger_counts values ($1, 1) on conflict (id) do update set events = ledger_counts.events + 1`, e.Aggregate.ID)
	return nil
}

// Looks is the SQL that describes a session: settings, and everything else that outlives a
// transaction.
const Looks = `select concat_ws(' ', current_setting('synchronous_commit'), current_setting('lock_timeout'),
	current_setting('statement_timeout'), current_setting('TimeZone'), current_setting('DateStyle'),
	current_setting('client_encoding'), current_setting('standard_conforming_strings'), current_setting('transaction_read_only'),
	current_setting('transaction_isolation'), current_setting('session_replication_role'), current_user, session_user,
	(select count(*) from pg_catalog.pg_locks where pid = pg_backend_pid() and locktype = 'advisory' and objid = 424242),
	(select count(*) from pg_catalog.pg_listening_channels()), pg_catalog.to_regclass('pg_temp.left_over'))`

func writeDown(ctx context.Context, tx pgx.Tx, e projections.Event[Observed]) error {
	_, err := tx.Exec(ctx, `insert into ledger_sessions select $1, (`+Looks+`)`, e.Aggregate.ID)
	return err
}

func temptInHand(ctx context.Context, tx pgx.Tx, e projections.Event[TemptedInHand]) error {
	return inHand(ctx, tx, e.Data.Habit, e.Aggregate.ID)
}

func temptBatch(ctx context.Context, tx pgx.Tx, events []projections.Event[TemptedBatch]) error {
	for _, e := range events {
		if err := inHand(ctx, tx, e.Data.Habit, e.Aggregate.ID); err != nil {
			return err
		}
	}
	return nil
}

func inHand(ctx context.Context, tx pgx.Tx, habit, id string) error {
	for _, h := range InHand() {
		if h.Name == habit {
			return h.Project(ctx, tx, id)
		}
	}
	return fmt.Errorf("no habit %q", habit)
}

func temptQueue(into *pgx.Batch, e projections.Event[TemptedQueue]) error {
	for _, h := range Queueing {
		if h.Name == e.Data.Habit {
			return h.Queue(into, e.Aggregate.ID)
		}
	}
	return fmt.Errorf("no habit %q", e.Data.Habit)
}
