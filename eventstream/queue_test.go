package eventstream

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/maestro-es/maestro/store"
)

func eventsOf(from, to int64, size int) (events []store.Event) {
	for p := from; p <= to; p++ {
		e := store.Event{Position: p}
		e.Body = make([]byte, size)
		events = append(events, e)
	}
	return events
}

func TestUnitsAreBoundedByNumberAndBytes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ events, size, want int }{
		{1, 0, 1}, {maxUnit, 0, maxUnit}, {maxUnit + 1, 0, maxUnit}, {3, maxUnitBytes, 1}, {1, 2 * maxUnitBytes, 1},
		{10, maxUnitBytes/4 - eventOverhead, 4}, {10, maxUnitBytes/4 - eventOverhead + 1, 3},
	} {
		require.Equal(t, c.want, unit(eventsOf(1, int64(c.events), c.size)), "%+v", c)
	}
}

// Whatever the lane hands over or leaves out, whatever others write, and whatever fails: the queue
// gives every position of the log once and in order.
func TestAQueueGivesTheLog(t *testing.T) {
	t.Parallel()
	steps := []string{"handed over", "large", "not at hand", "foreign", "noticed", "taken", "in vain"}
	rapid.Check(t, func(t *rapid.T) {
		q := &queue{wake: make(chan struct{}, 1), moved: make(chan struct{}, 1)}
		ended, end := context.WithCancel(context.Background())
		end() // take must not wait
		log, taken := int64(0), int64(0)
		take := func() {
			for {
				events, above, err := q.take(ended, nil)
				if err != nil {
					return
				}
				require.Equal(t, taken, above)
				if len(events) == 0 {
					events = eventsOf(above+1, min(log, above+3), 0) // from the log
				}
				for _, e := range events {
					taken++
					require.Equal(t, taken, e.Position)
				}
				q.mark(taken, time.Time{})
			}
		}
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			n := rapid.Int64Range(1, 4).Draw(t, "events")
			switch what := rapid.SampledFrom(steps).Draw(t, "step"); what {
			case "handed over", "large":
				size := 0
				if what == "large" {
					size = maxQueueBytes / 3
				}
				q.add(log+n, eventsOf(log+1, log+n, size))
				log += n
			case "not at hand":
				log += n
				q.add(log, nil)
			case "foreign": // the lane does not know of it yet
				log += n
			case "noticed":
				q.notice(log)
			case "taken":
				take()
			case "in vain": // taken but not published
				_, _, _ = q.take(ended, nil)
			}
			require.LessOrEqual(t, q.bytes, maxQueueBytes)
		}
		q.notice(log)
		q.notice(log)
		take()
		require.Equal(t, log, taken, fmt.Sprint("published ", taken, " of ", log))
	})
}
