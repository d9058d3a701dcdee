package store

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// Commit makes a batch permanent. It takes one round trip: statements that are sent together are one transaction, which
// the first error undoes. Commits of several partitions share a transaction when they come at the same time. With Project a commit has its
// own, and takes another round trip for its end, and those of Project itself. So does one whose statements fail, to find out which.
func (s *Postgres) Commit(ctx context.Context, c *Commit) error {
	if err := c.check(s.partitions); err != nil {
		return err
	}
	if c.Project != nil || len(c.Statements) > 0 && (!s.prepares || slices.ContainsFunc(c.Statements, isRisky)) {
		return s.commitStepwise(ctx, c)
	}
	err := s.groups.do(ctx, c)
	if len(c.Statements) > 0 && isRefused(err) {
		return s.commitStepwise(ctx, c)
	}
	return s.explain(err)
}

// commitTogether makes commits in one transaction and returns Postgres's clock. The error is as Postgres gave it.
func (s *Postgres) commitTogether(ctx context.Context, group []*Commit) (clock time.Time, err error) {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return clock, err
	}
	defer conn.Release()
	var batch pgx.Batch
	if err := s.queue(&batch, group, &clock); err != nil {
		return clock, err
	}
	if err := s.queueStatements(ctx, conn.Conn(), &batch, group); err != nil {
		return clock, err
	}
	err = conn.SendBatch(ctx, &batch).Close()
	return clock, err
}

// commitStepwise makes a commit in a transaction of its own, in which what projections want takes round trips.
func (s *Postgres) commitStepwise(ctx context.Context, c *Commit) error {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	defer conn.Release()
	var batch pgx.Batch
	batch.BeginTx(pgx.TxOptions{})
	var clock time.Time
	if err := s.queue(&batch, []*Commit{c}, &clock); err != nil {
		return err
	}
	batch.Queue(s.sql.scope)
	results := conn.SendBatch(ctx, &batch)
	tx := results.Tx()
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	if err := results.Close(); err != nil {
		return s.explain(err)
	}
	if err := c.project(ctx, tx); err != nil {
		return projectionError(ctx, tx, err)
	}
	if err := tx.Commit(ctx); err != nil {
		return fmt.Errorf("commit after the projections: %w", err)
	}
	c.Clock = clock.UTC()
	return nil
}

// project runs what projections want in the transaction.
func (c *Commit) project(ctx context.Context, tx pgx.Tx) error {
	for i, q := range c.Statements {
		sql, arguments, err := rewritten(ctx, tx.Conn(), q)
		switch {
		case err != nil:
		case endsTransactions(sql):
			err = errEndsTransaction
		default:
			_, err = tx.Exec(ctx, sql, arguments...)
		}
		if err != nil {
			return &StatementError{Index: i, Err: err}
		}
	}
	if c.Project == nil {
		return nil
	}
	return c.Project(ctx, tx)
}

// projectionError leaves a projection's error as it is, unless the connection was lost: then no word of the projection
// counts, since all it saw may be the loss.
func projectionError(ctx context.Context, tx pgx.Tx, err error) error {
	switch {
	case !tx.Conn().IsClosed():
		return err
	case ctx.Err() != nil:
		return fmt.Errorf("project: %w", ctx.Err())
	default:
		return fmt.Errorf("project: %w: %s", errConnectionLost, err.Error())
	}
}

// check catches mistakes of the caller that the database would not see.
func (c *Commit) check(partitions int) error {
	for i, e := range c.Events {
		if want := c.Position + int64(i) + 1; e.Position != want {
			return fmt.Errorf("commit: event %d has position %d, expected %d", i, e.Position, want)
		}
	}
	return checkPartition(c.Partition, partitions)
}

// queue puts the statements of commits into a batch, in the order of their partitions: transactions that lock rows in the same order do
// not wait for each other in a circle. Clock is set to Postgres's when the batch is done.
func (s *Postgres) queue(batch *pgx.Batch, group []*Commit, clock *time.Time) error {
	slices.SortFunc(group, func(a, b *Commit) int { return cmp.Compare(a.Partition, b.Partition) })
	batch.Queue(s.sql.advance, advanceArrays(group)...).QueryRow(func(row pgx.Row) error { return row.Scan(clock) })
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

// nullTime is the time as a parameter: the zero time is null.
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
