package store

import (
	"context"
	"fmt"
)

// snapshotsStatement saves snapshots. "offset 0" keeps the planner from merging the inner query
// into the outer one, so that Postgres looks each event up by its key.
const snapshotsStatement = `
	insert into maestro.snapshots as old (partition, aggregate_type, aggregate_id, sequence, version, body)
	select $1, q.aggregate_type, q.aggregate_id, q.sequence, q.version, q.body
	from unnest($2::text[], $3::text[], $4::bigint[], $5::integer[], $6::bytea[])
		as q (aggregate_type, aggregate_id, sequence, version, body)
	cross join lateral (
		select from maestro.log e where e.partition = $1 and e.aggregate_type = q.aggregate_type
			and e.aggregate_id = q.aggregate_id and e.sequence = q.sequence
		offset 0
	) e
	on conflict (partition, aggregate_type, aggregate_id) do update
	set sequence = excluded.sequence, version = excluded.version, body = excluded.body
	where old.sequence <= excluded.sequence or old.version <> excluded.version`

// SaveSnapshots stores snapshots of aggregates of one partition, in a transaction of its own.
func (s *Postgres) SaveSnapshots(ctx context.Context, partition int, snapshots []Snapshot) error {
	if err := checkPartition(partition, s.partitions); err != nil {
		return err
	}
	snapshots = newest(snapshots)
	n := len(snapshots)
	types, ids, bodies := make([]string, n), make([]string, n), make([][]byte, n)
	sequences, versions := make([]int64, n), make([]int32, n)
	for i, p := range snapshots {
		if err := checkText(p.Aggregate.Type, p.Aggregate.ID); err != nil {
			return err
		}
		types[i], ids[i], bodies[i] = p.Aggregate.Type, p.Aggregate.ID, notNil(p.Body)
		sequences[i], versions[i] = p.Sequence, int32(p.Version)
	}
	if _, err := s.pool.Exec(ctx, s.sql.snapshots, partition, types, ids, sequences, versions, bodies); err != nil {
		return fmt.Errorf("save %d snapshots of partition %d: %w", n, partition, s.explain(nil, own(err)))
	}
	return nil
}
