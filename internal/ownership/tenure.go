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

// Duty is work that is done for a partition while this worker owns it. One Duty value serves all
// partitions.
type Duty interface {
	// Run works until ctx ends. Then it finishes what it has in hand and returns nil. An error ends
	// the tenure; the other duties find that error as the [context.Cause] of their ctx.
	Run(ctx context.Context, t *Tenure) error
}

// perform runs all duties until one fails or ctx ends. Then it ends the duties one after the other:
// each is told to end when the one before it has ended, so that it finishes what that one has
// handed over.
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

// handling runs the lane. Requests that reach a stopping lane are routed to the next owner.
type handling struct{ *Ownership }

// Run implements Duty.
func (d handling) Run(ctx context.Context, t *Tenure) error {
	defer d.Lanes[t.At.Number].Store(nil)
	return t.Lane.Run(ctx)
}

// publishing publishes the events that the lane has committed. At the end it has a moment to
// publish the rest. If another worker already owns the partition, that worker publishes the rest.
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
