package store

import (
	"context"
	"fmt"
	"time"
)

// Prune forgets about limit of the receipts that were made before a moment, the oldest first, and returns how many; fewer
// than limit were all. The same commands, if they come again, are new ones.
func (s *Postgres) Prune(ctx context.Context, before time.Time, limit int) (int, error) {
	tag, err := s.pool.Exec(ctx, s.sql.prune, before, limit)
	if err != nil {
		return 0, fmt.Errorf("prune receipts: %w", own(err))
	}
	return int(tag.RowsAffected()), nil
}

// Prune forgets at most limit of the receipts that were made before a moment, and returns how many.
func (m *Memory) Prune(ctx context.Context, before time.Time, limit int) (pruned int, err error) {
	for partition := range m.partitions {
		err := m.write(ctx, partition, func(p *memoryPartition) error {
			for key, r := range p.receipts {
				if pruned < limit && r.At.Before(before) {
					delete(p.receipts, key)
					pruned++
				}
			}
			return nil
		})
		if err != nil {
			return pruned, err
		}
	}
	return pruned, nil
}
