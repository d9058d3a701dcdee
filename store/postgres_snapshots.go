package store

import (
	"context"
	"fmt"
)

// SaveSnapshots stores snapshots of aggregates of one partition, in a transaction of its own.
func (s *Postgres) SaveSnapshots(ctx context.Context, partition int, snapshots []Snapshot) error {
	if err := checkPartition(partition, s.partitions); err != nil {
		return err
	}
	snapshots = newest(snapshots)
	n := len(snapshots)
	types, ids, bodies := make([]string, n), make([]string, n), make([]string, n)
	sequences, versions := make([]int64, n), make([]int32, n)
	for i, p := range snapshots {
		types[i], ids[i], bodies[i] = p.Aggregate.Type, p.Aggregate.ID, string(p.Body)
		sequences[i], versions[i] = p.Sequence, int32(p.Version)
	}
	if _, err := s.pool.Exec(ctx, s.sql.snapshots, partition, types, ids, sequences, versions, bodies); err != nil {
		return fmt.Errorf("save %d snapshots of partition %d: %w", n, partition, s.explain(err))
	}
	return nil
}
