package repository

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/maestro-es/maestro/internal/lane"
	"github.com/maestro-es/maestro/internal/wire"
	"github.com/maestro-es/maestro/store"
)

func (r *Repository[S]) key(id string) store.Key { return store.Key{Type: r.definition.Name(), ID: id} }

func (r *Repository[S]) partition(id string) int {
	return wire.Partition(r.definition.Name(), id, r.store.Partitions())
}

// inTurn calls do with the lane of an aggregate. If that lane stops, it calls do again with another
// lane.
func (r *Repository[S]) inTurn(ctx context.Context, id string, do func(*lane.Lane) error) error {
	return r.retry(ctx, func() error {
		l, err := r.lane(ctx, r.partition(id))
		if err != nil {
			return err
		}
		return do(l)
	})
}

// retry calls work again after conflicts, changes of owner and passing faults, until ctx or the
// repository ends.
func (r *Repository[S]) retry(ctx context.Context, work func() error) error {
	waits := backoff.NewExponentialBackOff(backoff.WithInitialInterval(5*time.Millisecond),
		backoff.WithMaxInterval(time.Second), backoff.WithMaxElapsedTime(0))
	var last error // the last error other than the end of ctx
	err := backoff.Retry(func() error {
		err := work()
		if err != nil && (last == nil || ctx.Err() == nil) {
			last = err
		}
		verdict := store.Judge(err)
		again := errors.Is(err, lane.ErrStopped) || verdict == store.Stop || verdict.Passes()
		if err != nil && (!again || ctx.Err() != nil || r.ctx.Err() != nil) {
			return backoff.Permanent(err)
		}
		return err
	}, backoff.WithContext(waits, ctx))
	if err != nil && ctx.Err() != nil && !errors.Is(last, ctx.Err()) {
		return fmt.Errorf("%w: %w", ctx.Err(), last)
	}
	return err
}

// lane returns the partition's lane. The lane works under the epoch of the partition's present
// owner. When the epoch changes, the lane stops, and the next call makes another.
func (r *Repository[S]) lane(ctx context.Context, partition int) (*lane.Lane, error) {
	if err := r.ctx.Err(); err != nil {
		return nil, fmt.Errorf("the repository has ended: %w", err)
	}
	if l := r.running(partition, nil); l != nil {
		return l, nil
	}
	sent := time.Now()
	at, err := r.store.Partition(ctx, partition)
	if err != nil {
		return nil, fmt.Errorf("read partition %d: %w", partition, err)
	}
	r.config.Clock.Saw(at.Clock, sent)
	if err := r.checkKept(ctx); err != nil {
		return nil, err
	}
	return r.running(partition, &at), nil
}

// running returns the partition's lane. If there is none, it starts one at the given row, or
// returns nil if at is nil.
func (r *Repository[S]) running(partition int, at *store.Partition) *lane.Lane {
	r.mu.Lock()
	defer r.mu.Unlock()
	if l := r.lanes[partition]; l != nil || at == nil {
		return l
	}
	l := lane.New(r.config, *at, nil)
	r.lanes[partition] = l
	go func() {
		if err := l.Run(r.ctx); err != nil {
			r.config.Logger.Debug("a partition changed its owner: going on under the new one", "partition", partition, "error", err)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.lanes, partition)
	}()
	return l
}
