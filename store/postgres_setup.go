package store

import (
	"context"
	"fmt"
)

// Setup runs SQL that prepares something beside the log, such as the tables of a read model: in one transaction, with the
// namespace's schema first in the search path, while nobody else does. It runs again at each start.
//
// Even "create index if not exists" waits for those who write to its table. A process that was frozen in the middle of its
// projections would hold it up for good: after a second the sessions that are in the middle of a commit are ended, as
// [Postgres.Acquire] does. Any other session that holds a lock in the way makes it an error after half a minute.
func (s *Postgres) Setup(ctx context.Context, sql string) error {
	if sql == "" {
		return nil
	}
	return s.evicting(ctx, func(lockTimeout string) error { return s.setup(ctx, sql, lockTimeout) })
}

// evicting works with a short limit to each wait for a lock. If that is not enough it ends the sessions that are in the
// middle of a commit, and works once more with a long limit.
func (s *Postgres) evicting(ctx context.Context, work func(lockTimeout string) error) error {
	err := work("1s")
	if isLocked(err) {
		if _, err := s.pool.Exec(ctx, s.sql.evict, nil); err != nil {
			return fmt.Errorf("end the sessions that stand still in a commit: %w", err)
		}
		err = work("30s")
	}
	return err
}

// setup is one round trip: a process that freezes meanwhile leaves nothing open.
func (s *Postgres) setup(ctx context.Context, sql, lockTimeout string) error {
	_, err := s.pool.Exec(ctx, `select pg_advisory_xact_lock(hashtextextended(`+literal("maestro setup "+s.namespace)+`, 0));
		`+s.sql.scope+`;
		select set_config('lock_timeout', '`+lockTimeout+`', true);
		`+sql)
	return err
}
