package store

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/maestro-es/maestro/aggregate"
)

// Commit makes a batch permanent. It takes one round trip: Postgres runs statements that are sent
// together as one transaction, and the first error undoes it. Commits of several partitions share
// a transaction when they come at the same time.
//
// A commit with handlers has a transaction of its own. It takes one more round trip for its end,
// and those of the handlers. A commit whose statements fail is made the same way, to find out
// which statement failed.
func (s *Postgres) Commit(ctx context.Context, c *Commit) error {
	if err := c.check(s.partitions); err != nil {
		return err
	}
	if err := s.checkEnds(ctx, c); err != nil {
		return err
	}
	if len(c.Handlers) > 0 || len(c.Statements) > 0 && (!s.prepares || c.Patience > 0 || !s.manners.allGoAlong(c.Statements)) {
		return s.commitStepwise(ctx, c)
	}
	err := s.commitQueued(ctx, c)
	if len(c.Statements) > 0 && separates(err) {
		err := s.commitStepwise(ctx, c)
		if errors.As(err, new(*StatementError)) {
			s.apart.Store(c.Partition, time.Now().Add(apartFor))
		}
		return err
	}
	return s.explain(c, err)
}

// apartFor is how long the commits of a partition are made apart after Postgres has refused a
// statement of one of them. A refused statement also undoes the commits of others in the same
// transaction.
const apartFor = 10 * time.Second

// commitQueued makes a commit in one exchange. After a conflict in a read model it tries once
// more, because the conflict has shown which commits must go one at a time.
func (s *Postgres) commitQueued(ctx context.Context, c *Commit) error {
	err := s.commitOnce(ctx, c)
	if isConflict(err) {
		err = s.commitOnce(ctx, c)
	}
	if isConflict(err) && len(c.Statements) == 0 { // the conflict is that of others
		return s.commitApart(ctx, c)
	}
	return err
}

// commitOnce makes a commit together with others. If one of its read models is contended, the
// others are those that wait for the same turn. If a statement of the partition was refused
// lately, the commit is made alone.
func (s *Postgres) commitOnce(ctx context.Context, c *Commit) error {
	if s.contention.locks(c) != nil {
		return s.inTurn.do(ctx, c)
	}
	if until, is := s.apart.Load(c.Partition); is && len(c.Statements) > 0 && time.Now().Before(until.(time.Time)) {
		return s.commitApart(ctx, c)
	}
	return s.groups.do(ctx, c)
}

func (s *Postgres) commitApart(ctx context.Context, c *Commit) error {
	ctx, cancel := context.WithTimeout(ctx, groupTimeout)
	defer cancel()
	clock, err := s.commitTogether(ctx, []*Commit{c})
	if err == nil {
		c.Clock = clock.UTC()
	}
	return err
}

// commitTogether makes commits in one transaction and returns Postgres's clock. The error is that
// of Postgres, as a [*Fault].
func (s *Postgres) commitTogether(ctx context.Context, group []*Commit) (clock time.Time, err error) {
	return s.commitLocked(ctx, group, nil)
}

// commitLocked makes commits in one transaction that holds the given locks.
func (s *Postgres) commitLocked(ctx context.Context, group []*Commit, locks []int64) (clock time.Time, err error) {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return clock, own(err)
	}
	defer conn.Release()
	var batch pgx.Batch
	if err := s.queue(&batch, group, locks, &clock); err != nil {
		return clock, err
	}
	ours, failed := batch.Len(), 0
	var models []*ReadModel
	err = guard(func() (err error) {
		if models, err = s.queueStatements(ctx, conn.Conn(), &batch, group); err != nil {
			return fault(ctx, conn.Conn(), UserSQL, err)
		}
		failed, err = send(ctx, conn.Conn(), &batch, ours)
		return err
	})
	if errors.As(err, new(*aggregate.PanicError)) { // the batch was sent only in part
		_ = conn.Conn().Close(ctx)
	}
	if err == nil {
		s.pools.health.commit(nil)
	} else if failed > ours && failed < batch.Len() {
		s.contention.noticed(models[failed-ours-1], err)
	}
	return clock, err
}

// send makes the transaction of a batch. The first ours statements are our own, the others those
// of projections. After an error, failed is the index of the statement that failed, or batch.Len()
// if the end of the transaction failed.
func send(ctx context.Context, conn *pgx.Conn, batch *pgx.Batch, ours int) (failed int, err error) {
	results, from := conn.SendBatch(ctx, batch), OwnSQL
	for i, q := range batch.QueuedQueries {
		if i == ours {
			from = UserSQL
		}
		if err := receive(results, q); err != nil {
			_ = results.Close()
			return i, fault(ctx, conn, from, err)
		}
	}
	if err := results.Close(); err != nil {
		return batch.Len(), fault(ctx, conn, from, err)
	}
	return 0, nil
}

// receive takes the result of a statement.
func receive(results pgx.BatchResults, q *pgx.QueuedQuery) (err error) {
	if q.Fn != nil {
		return q.Fn(results)
	}
	_, err = results.Exec()
	return err
}

// commitStepwise makes a commit in a transaction of its own. The work of projections in it takes
// round trips.
func (s *Postgres) commitStepwise(ctx context.Context, c *Commit) error {
	locks := s.contention.locks(c)
	if locks != nil {
		release, err := s.contention.take(ctx)
		if err != nil {
			return fmt.Errorf("commit: %w", err)
		}
		defer release()
	}
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("commit: %w", own(err))
	}
	defer conn.Release()
	var batch pgx.Batch
	batch.BeginTx(pgx.TxOptions{})
	var clock time.Time
	if err := s.queue(&batch, []*Commit{c}, locks, &clock); err != nil {
		return err
	}
	token, err := s.lend(ctx, conn.Conn(), &batch, c.Partition)
	if err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	path := searchPath{of: s.path}
	if first := c.firstModel(); first != nil {
		path.current = s.path(first)
		batch.Queue(setPath, path.current)
	}
	results := conn.SendBatch(ctx, &batch)
	tx := results.Tx()
	if err := results.Close(); err != nil {
		err = s.explain(c, fault(ctx, conn.Conn(), OwnSQL, err))
		_ = tx.Rollback(context.WithoutCancel(ctx))
		return err
	}
	if err := c.inTime(ctx, tx, &path, s.contention.noticed); err != nil {
		s.undo(ctx, conn)
		return err
	}
	if err := s.takeBack(ctx, conn, token); err != nil {
		s.undo(ctx, conn)
		return err
	}
	s.pools.health.commit(nil)
	c.Clock = clock.UTC()
	return nil
}

// guard calls run, which encodes arguments of queued SQL. Encoding may call the user's code
// (driver.Valuer, json.Marshaler, pgx.QueryRewriter). guard turns a panic of that code into an
// error.
func guard(run func() error) (err error) {
	defer func() {
		if value := recover(); value != nil {
			err = &aggregate.PanicError{During: "an argument of queued SQL", Value: value, Stack: debug.Stack()}
		}
	}()
	return run()
}

// projectionError gives a projection's error its origin. If the connection was lost, the
// projection's own error does not count, because the loss may have caused it.
func projectionError(ctx context.Context, tx pgx.Tx, err error) error {
	from := UserCode
	if ended := CheckLent(tx); errors.Is(ended, errEnded) {
		err = fmt.Errorf("%w: %w", ended, err)
	} else if serverError(err) != nil && !errors.As(err, new(*RetryError)) {
		from = UserSQL
	}
	f := fault(ctx, tx.Conn(), from, err)
	if f.Condition == Lost {
		f.Err = fmt.Errorf("a projection lost its connection to Postgres: %s", err.Error())
		if statement, is := errors.AsType[*StatementError](err); is { // keep which statement it was
			f.Err = &StatementError{Index: statement.Index, Err: f.Err}
		}
	}
	return f
}

// check catches mistakes of the caller that the database would not see.
func (c *Commit) check(partitions int) error {
	for i, e := range c.Events {
		if want := c.Position + int64(i) + 1; e.Position != want {
			return fmt.Errorf("commit: event %d has position %d, expected %d", i, e.Position, want)
		}
	}
	if err := c.checkSequences(); err != nil {
		return err
	}
	return checkPartition(c.Partition, partitions)
}

// checkSequences checks that the sequences of each aggregate's events are at least 1 and have no
// gaps.
func (c *Commit) checkSequences() error {
	if len(c.Events) == 1 && c.Events[0].Sequence > 0 {
		return nil
	}
	last := make(map[Key]int64, len(c.Events))
	for i, e := range c.Events {
		before, known := last[e.Aggregate]
		if e.Sequence < 1 || known && e.Sequence != before+1 {
			return fmt.Errorf("commit: event %d of %s %s has sequence %d: expected %d", i, e.Aggregate.Type, e.Aggregate.ID, e.Sequence, before+1)
		}
		last[e.Aggregate] = e.Sequence
	}
	return nil
}

// queue puts the statements of commits into a batch, in the order of their partitions.
// Transactions that lock rows in the same order cannot deadlock. When the batch is done, clock is
// set to Postgres's clock.
func (s *Postgres) queue(batch *pgx.Batch, group []*Commit, locks []int64, clock *time.Time) error {
	slices.SortFunc(group, func(a, b *Commit) int { return cmp.Compare(a.Partition, b.Partition) })
	batch.Queue(s.sql.advance, append(advanceArrays(group), s.pools.durability.Load())...).QueryRow(func(row pgx.Row) error {
		return row.Scan(clock, nil)
	})
	for _, key := range locks {
		batch.Queue(takeLock, key)
	}
	if args := receiptArrays(group); keepsReceipts && args != nil {
		batch.Queue(s.sql.receipts, args...)
	}
	if args := eventArrays(group); args != nil {
		batch.Queue(s.sql.events, args...)
	}
	for _, c := range group {
		for _, d := range c.DeadLetters {
			headers, err := json.Marshal(d.Headers)
			if err != nil {
				return fmt.Errorf("headers of dead letter %s: %w", d.ID, err)
			}
			batch.Queue(s.sql.dead, c.Partition, d.ID, d.Subject, string(headers), notNil(d.Body), int64(d.Sequence),
				d.CommandID, d.Code, d.Message, d.At)
		}
	}
	return nil
}

// nullTime returns the time as a parameter. The zero time becomes null.
func nullTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func notNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
