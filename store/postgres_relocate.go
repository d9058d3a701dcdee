package store

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/maestro-es/maestro/internal/wire"
)

// relocation is the transaction that moves all rows of a namespace to their new partitions and
// positions.
type relocation struct {
	pgx.Tx
	store      *Postgres
	partitions int
}

// columns are the columns of the log except position.
var columns = strings.TrimPrefix(logColumns, "position, ")

// relocate has the steps that follow once the partitions of all aggregates are known. Only the
// log, which is the big table, is written anew. Updating the other tables in place cannot violate
// a key. Events are sorted by the running maximum of recorded_at in their old partition, because
// times go back there after a clock was wrong. Times from the future are capped. A receipt with
// events follows its last event, because its own time is from another clock.
var relocate = []string{
	`create temp table relocated on commit drop as
		select a.partition, pg_catalog.row_number() over (partition by a.partition order by e.at, e.partition, e.position) as position,
			e.at, e.partition as old_partition, e.position as old_position, ` + columns + `
		from (select *, pg_catalog.max(least(recorded_at, pg_catalog.now() + interval '1 minute'))
				over (partition by partition order by position) as at
			from maestro.log) e
		join relocated_aggregates a using (aggregate_type, aggregate_id)`,
	`truncate maestro.log`,
	`insert into maestro.log (partition, position, ` + columns + `) select partition, position, ` + columns + ` from relocated`,
	`create index on relocated (partition, at, old_partition, old_position)`,
	`create index on relocated (old_partition, old_position)`,
	`analyze relocated`,
	`update maestro.receipts r set partition = a.partition, position = coalesce((
			select e.position from relocated e
			where e.partition = a.partition and (e.at, e.old_partition, e.old_position) <= ((
					select case when r.events > 0 then pg_catalog.max(o.at) else greatest(pg_catalog.max(o.at), r.at) end from relocated o
					where o.old_partition = r.partition and o.old_position = r.position), r.partition, r.position)
			order by e.at desc, e.old_partition desc, e.old_position desc limit 1), 0)
		from relocated_aggregates a where a.aggregate_type = r.aggregate_type and a.aggregate_id = r.aggregate_id`,
	`update maestro.snapshots s set partition = a.partition
		from relocated_aggregates a where a.aggregate_type = s.aggregate_type and a.aggregate_id = s.aggregate_id`,
	`update maestro.dead_letters d set partition = a.partition
		from relocated_aggregates a where a.aggregate_type = pg_catalog.split_part(d.subject, '.', 4)
			and a.aggregate_id = pg_catalog.split_part(d.subject, '.', 5)`,
	`truncate maestro.partitions`,
}

func (r *relocation) run(ctx context.Context, before epochs, lockTimeout string) error {
	if err := r.lock(ctx, lockTimeout); err != nil {
		return err
	}
	now, err := r.store.epochs(ctx, r)
	if err != nil {
		return err
	}
	if now != before {
		return errors.New("a worker has started in the meantime: stop it and try again")
	}
	if err := r.placeAggregates(ctx); err != nil {
		return fmt.Errorf("compute the partition of each aggregate: %w", err)
	}
	for _, step := range relocate {
		if err := r.exec(ctx, step); err != nil {
			return err
		}
	}
	err = r.exec(ctx, `insert into maestro.partitions (partition, epoch, position, recorded_at)
		select p, $2, coalesce(e.position, 0), e.recorded_at from pg_catalog.generate_series(0, $1 - 1) p
		left join (select partition, pg_catalog.max(position) as position,
			pg_catalog.max(at) as recorded_at from relocated group by partition) e
			on e.partition = p`, r.partitions, now.highest+1)
	if err != nil {
		return err
	}
	return r.exec(ctx, `update maestro.settings set partitions = $1, maintenance = $2`, r.partitions, repartitioning)
}

func (r *relocation) exec(ctx context.Context, sql string, args ...any) error {
	_, err := r.Exec(ctx, qualify(r.store.namespace, sql), args...)
	return err
}

// lock keeps everybody else out. It also lifts the time limits on the rest of the transaction.
func (r *relocation) lock(ctx context.Context, timeout string) error {
	_, err := r.Exec(ctx, `select pg_catalog.set_config(name, '0', true) from pg_catalog.pg_settings
		where name in ('statement_timeout', 'transaction_timeout', 'idle_in_transaction_session_timeout')`)
	if err != nil {
		return err
	}
	if _, err := r.Exec(ctx, `select pg_catalog.set_config('lock_timeout', $1, true)`, timeout); err != nil {
		return err
	}
	return r.exec(ctx, `lock table maestro.settings, maestro.partitions, maestro.receipts, maestro.log, maestro.snapshots,
		maestro.dead_letters`)
}

// placeAggregates makes a table of the aggregates and their new partitions. The hash is computed
// by package wire, so the aggregates are read from Postgres and written back, some at a time.
func (r *relocation) placeAggregates(ctx context.Context) error {
	for _, sql := range []string{
		`create temp table relocated_aggregates (aggregate_type text collate "C", aggregate_id text collate "C", partition smallint)
			on commit drop`,
		// The subject of a dead letter is maestro.cmd.<partition>.<type>.<id>.<command>, or anything
		// else.
		`declare aggregates cursor for select aggregate_type, aggregate_id from maestro.log
			union select aggregate_type, aggregate_id from maestro.snapshots
			union select aggregate_type, aggregate_id from maestro.receipts
			union select pg_catalog.split_part(subject, '.', 4) collate "C",
				pg_catalog.split_part(subject, '.', 5) collate "C" from maestro.dead_letters`,
	} {
		if err := r.exec(ctx, sql); err != nil {
			return err
		}
	}
	for {
		rows, _ := r.Query(ctx, `fetch 10000 from aggregates`) // its error is that of the rows
		keys, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Key])
		if err != nil {
			return err
		}
		if len(keys) == 0 {
			return r.exec(ctx, `close aggregates; analyze relocated_aggregates`)
		}
		_, err = r.CopyFrom(ctx, pgx.Identifier{"relocated_aggregates"}, []string{"aggregate_type", "aggregate_id", "partition"},
			pgx.CopyFromSlice(len(keys), func(i int) ([]any, error) {
				return []any{keys[i].Type, keys[i].ID, wire.Partition(keys[i].Type, keys[i].ID, r.partitions)}, nil
			}))
		if err != nil {
			return err
		}
	}
}
