package lane_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/internal/lane"
	"github.com/maestro-es/maestro/store"
)

func TestAStoppingLaneFinishesItsBatchAndRefusesTheRest(t *testing.T) {
	r := newRig(t, store.NewMemory(1), func(c *lane.Config) { c.MaxBatch = 2 }).run()
	release := r.hold()
	// Two batches and a read. The lane takes some or none of them before it sees that it must stop.
	results := r.put(add("a", "1", 1), add("a", "2", 1), at(7, add("a", "3", 1)), add("a", "4", 1))
	readDone := make(chan error, 1)
	require.NoError(t, r.SubmitRead(t.Context(), &lane.Read{Key: key("a"), Look: func(aggregate.Instance) error { return nil },
		Done: func(err error) { readDone <- err }}))
	r.stop()
	release()
	require.NoError(t, <-r.stopped)
	require.GreaterOrEqual(t, len(results), 3) // the durable command may be left to the next owner
	committed := 0
	for len(results) > 0 {
		result := <-results
		if result.Outcome.Status == store.Committed {
			committed++
			continue
		}
		require.Equal(t, "failed unavailable", status(result.Outcome))
		require.ErrorIs(t, result.Err, lane.ErrStopped)
	}
	require.Len(t, r.log(), committed)
	if err := <-readDone; err != nil {
		require.ErrorIs(t, err, lane.ErrStopped)
	}
}

func TestAStoppedLaneTakesNothing(t *testing.T) {
	r := newRig(t, store.NewMemory(1)).run()
	r.stop()
	require.NoError(t, <-r.stopped)
	for range 50 { // whichever branch of the select comes first
		for _, put := range []func(*lane.Command) error{r.Offer, func(c *lane.Command) error { return r.Submit(t.Context(), c) }} {
			answered := make(chan lane.Result, 1)
			c := add("a", "1", 1)
			c.Done = func(result lane.Result) { answered <- result }
			if err := put(c); err != nil {
				require.ErrorIs(t, err, lane.ErrStopped)
				continue
			}
			require.ErrorIs(t, (<-answered).Err, lane.ErrStopped)
		}
	}
}

// A client that comes while the lane stops gets an error or an answer.
func TestNobodyIsLeftWithoutAnAnswerWhenALaneStops(t *testing.T) {
	for range 20 {
		r := newRig(t, store.NewMemory(1)).run()
		var group sync.WaitGroup
		for range 4 {
			group.Go(func() {
				for {
					done := make(chan error, 1)
					err := r.OfferRead(&lane.Read{Key: key("a"), Look: func(aggregate.Instance) error { return nil },
						Done: func(err error) { done <- err }})
					if err == nil {
						err = <-done
					}
					if errors.Is(err, lane.ErrStopped) {
						return
					}
				}
			})
		}
		r.stop()
		group.Wait()
	}
}

func TestAFullQueueSaysSo(t *testing.T) {
	r := newRig(t, store.NewMemory(1), func(c *lane.Config) { c.MaxBatch = 2 })
	answers, n := 0, 0
	offer := func() error {
		c := add(fmt.Sprint(n), "1", 1)
		c.Done = func(lane.Result) { answers++ }
		return r.Offer(c)
	}
	for offer() == nil {
		n++
	}
	require.Positive(t, n)
	require.ErrorIs(t, offer(), lane.ErrBusy)
	require.ErrorIs(t, r.OfferRead(&lane.Read{Key: key("a")}), lane.ErrBusy)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, r.Submit(ctx, add("a", "2", 1)), context.Canceled)

	r.run()
	results := r.put(add("a", "3", 1)) // waits for its place
	<-results
	require.Equal(t, n, answers, "everybody who was let in was answered")
}
