package lane

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/maestro-es/maestro/store"
)

// recover reads the partition's row after a commit that failed. The commit may have been made all
// the same, or somebody else may have written. Memory can then not be trusted, and receipts tell
// what has happened. The lane does nothing else until it has read the row, however long that takes.
// It tries at once when the store says that its server is back. If the number of partitions has
// changed, recover returns an error, which ends the lane.
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
		if errors.As(err, new(*store.PartitionsError)) { // the number of partitions has changed, so no try will succeed
			return err
		}
		l.doing.failed(err)
		l.logWait(err)
	}
}

// storeIsBack returns a channel that is closed when the store works again after an outage. It is
// nil if the store cannot tell.
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

// goOnFrom accepts the partition's row as the state of the log. The row is unproven until a later
// commit of the lane is acknowledged. The reason is synchronous replication: a commit whose wait
// for the standby was cut short is in this server's log, but would be lost with this server. A
// later commit is acknowledged only when the standby also has everything before it.
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
