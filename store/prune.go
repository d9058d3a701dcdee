package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// doubt is how far apart the clocks of the store and of the caller of Prune may be. If they are
// further apart, one of them is wrong, and forgetting a receipt too early cannot be undone.
const doubt = time.Hour

// isOld selects the receipts that are too old. isNotYet selects the receipts from the future,
// which were made while a clock was wrong. $1 is the clock of the caller, $2 the age in seconds.
const (
	agreed   = `pg_catalog.now() between $1::timestamptz - interval '1 hour' and $1::timestamptz + interval '1 hour'`
	isOld    = `at < pg_catalog.now() - pg_catalog.make_interval(secs => $2) and ` + agreed
	isNotYet = `at > pg_catalog.now() + interval '1 hour' and ` + agreed
)

// Prune deletes receipts that are older than age by Postgres's clock, the oldest first and about
// limit at most. It returns how many were deleted; fewer than limit means none are left. A command
// whose receipt was deleted counts as new when it comes again. A receipt that is more than an hour
// in the future gets the current time, so that it is deleted one day.
//
// wall is the time of the caller's clock. If it differs from Postgres's clock by more than an
// hour, Prune deletes nothing.
func (s *Postgres) Prune(ctx context.Context, age time.Duration, wall time.Time, limit int) (pruned int, err error) {
	var batch pgx.Batch
	batch.Queue(s.sql.redate, wall, limit)
	batch.Queue(s.sql.prune, wall, age.Seconds(), limit)
	results := s.pool.SendBatch(ctx, &batch)
	if _, err = results.Exec(); err == nil {
		tag, failed := results.Exec()
		pruned, err = int(tag.RowsAffected()), failed
	}
	if closed := results.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return 0, fmt.Errorf("prune receipts: %w", own(err))
	}
	return pruned, nil
}

// Prune deletes at most limit of the receipts that are older than age, and returns how many.
func (m *Memory) Prune(ctx context.Context, age time.Duration, wall time.Time, limit int) (pruned int, err error) {
	now := time.Now()
	if now.Sub(wall).Abs() > doubt {
		return 0, nil
	}
	for partition := range m.partitions {
		err := m.write(ctx, partition, func(p *memoryPartition) error {
			for key, r := range p.receipts {
				switch {
				case r.At.After(now.Add(doubt)):
					r.At = stamp(now)
					p.receipts[key] = r
				case pruned < limit && r.At.Before(now.Add(-age)):
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
