package ownership

import (
	"context"
	"errors"
	"sync"

	"github.com/maestro-es/maestro/internal/lane"
	"github.com/maestro-es/maestro/store"
)

// Tenure is the time in which this worker owns a partition.
type Tenure struct {
	// At is the partition as it was acquired.
	At        store.Partition
	Lane      *lane.Lane
	Publisher Publisher
}

// Duty is something that is done for a partition while this worker owns it. It is the same value for
// all partitions.
type Duty interface {
	// Run works until ctx ends, leaves in order what it has in hand, and returns nil. An error ends
	// the tenure: [context.Cause] of ctx is that error for the other duties.
	Run(ctx context.Context, t *Tenure) error
}

// perform runs all duties until one fails or ctx ends. They are told to end one after the other, each
// when the one before it has, so that what one hands to the next is finished too.
func perform(ctx context.Context, t *Tenure, duties []Duty) error {
	going, end := context.WithCancelCause(ctx)
	defer end(nil)
	stops, errs := make([]context.CancelCauseFunc, len(duties)), make([]error, len(duties))
	done := make([]sync.WaitGroup, len(duties))
	for i, duty := range duties {
		var working context.Context
		working, stops[i] = context.WithCancelCause(context.WithoutCancel(ctx))
		done[i].Go(func() {
			if errs[i] = duty.Run(working, t); errs[i] != nil {
				end(errs[i])
			}
		})
	}
	<-going.Done()
	for i := range duties {
		stops[i](context.Cause(going))
		done[i].Wait()
	}
	return errors.Join(errs...)
}

// handling runs the lane. Requests that come to it when it stops find their way to the next owner.
type handling struct{ *Ownership }

// Run implements Duty.
func (d handling) Run(ctx context.Context, t *Tenure) error {
	defer d.Lanes[t.At.Number].Store(nil)
	return t.Lane.Run(ctx)
}

// publishing carries out what the lane has committed. At the end it has a moment for the rest, unless
// somebody else owns the partition, who then publishes it.
type publishing struct{ *Ownership }

// Run implements Duty.
func (d publishing) Run(ctx context.Context, t *Tenure) error {
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	ended := make(chan error, 1)
	go func() {
		ended <- t.Publisher.Run(running)
		stop()
	}()
	select {
	case <-ctx.Done():
	case <-running.Done():
	}
	if context.Cause(ctx) == context.Canceled { //nolint:errorlint // not one of the errors that end a tenure
		d.flush(running, t)
	}
	stop()
	return <-ended
}
