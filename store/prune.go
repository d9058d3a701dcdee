package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// doubt is how far the clocks of the store and of whoever prunes may be apart. When they are
// further apart one of them is wrong, and to forget a receipt too early cannot be undone.
const doubt = time.Hour

// The conditions for receipts that are too old, and for those that are from the future: a clock was
// wrong when they were made. $1 is the clock of whoever prunes, $2 the age in seconds.
const (
	agreed   = `pg_catalog.now() between $1::timestamptz - interval '1 hour' and $1::timestamptz + interval '1 hour'`
	isOld    = `at < pg_catalog.now() - pg_catalog.make_interval(secs => $2) and ` + agreed
	isNotYet = `at > pg_catalog.now() + interval '1 hour' and ` + agreed
)

// Prune forgets about limit of the receipts that are older than an age by Postgres's clock, the
// oldest first, and returns how many; fewer than limit were all. The same commands, if they come
// again, are new ones. A receipt that is more than an hour in the future is dated anew, so that it
// is forgotten one day.
//
// Wall is what the caller's clock says. While that and Postgres's differ by more than an hour
// nothing is forgotten.
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

// Prune forgets at most limit of the receipts that are older than an age, and returns how many.
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
