package lane

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/maestro-es/maestro/store"
)

// recover finds out where the log is after a commit that failed: it may have been made all the
// same, or somebody else wrote. What is in memory is then no longer to be trusted, and receipts
// tell what has happened. The lane does nothing before it has read that successfully, however long
// it takes; it tries at once when the store says that its server is there again. A change of the
// number of partitions ends the lane.
func (l *Lane) recover(ctx context.Context, wait time.Duration, waits backoff.BackOff) error {
	l.checkReceipts, l.unproven = true, readsAgain
	l.doing.begin(Waiting)
	for ; ; wait = waits.NextBackOff() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-l.storeIsBack():
			waits.Reset()
		case <-time.After(wait):
		}
		row, err := l.readRow(ctx)
		if err == nil {
			return l.goOnFrom(row)
		}
		if !readsAgain {
			return nil
		}
		if errors.As(err, new(*store.PartitionsError)) { // the partition is not what it was: the row never comes
			return err
		}
		l.doing.failed(err)
		l.logWait(err)
	}
}

// storeIsBack is closed when the store next works after a time in which it did not, nil for a store
// that does not tell.
func (l *Lane) storeIsBack() <-chan struct{} {
	if s, tells := l.Store.(interface{ WritableAgain() <-chan struct{} }); tells {
		return s.WritableAgain()
	}
	return nil
}

func (l *Lane) readRow(ctx context.Context) (store.Partition, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.Budgets.Attempt)
	defer cancel()
	return l.partitionRow(ctx)
}

// partitionRow reads the partition's row, and with it the store's clock.
func (l *Lane) partitionRow(ctx context.Context) (store.Partition, error) {
	sent := time.Now()
	row, err := l.Store.Partition(ctx, l.at.Number)
	if err == nil {
		l.Clock.Saw(row.Clock, sent)
	}
	return row, err
}

// goOnFrom takes the partition's row for where the log is. It is unproven until a commit of the
// lane has been acknowledged after the read: with synchronous replication, a commit whose wait for
// the standby was cut short is in this server's log, and would be lost with this server. A later
// commit is acknowledged only when the standby has all before it as well.
func (l *Lane) goOnFrom(row store.Partition) error {
	if row.Epoch != l.at.Epoch {
		return fmt.Errorf("partition %d: %w", l.at.Number, store.ErrFenced)
	}
	if row.Position < l.at.Position {
		return fmt.Errorf("partition %d: %w: it ends at position %d and had come to %d", l.at.Number, store.ErrRegressed,
			row.Position, l.at.Position)
	}
	if row.Position == l.at.Position && !row.Time.Equal(l.at.Time) {
		return fmt.Errorf("partition %d: %w: its event at position %d is of %s and was of %s", l.at.Number, store.ErrRegressed,
			row.Position, row.Time.Format(time.RFC3339Nano), l.at.Time.Format(time.RFC3339Nano))
	}
	if row.Position != l.at.Position {
		l.cache.purge()
		l.loads.forget()
		l.clock.Observe(row.Time, row.Clock)
		l.found = true
	}
	l.at = row
	return nil
}
