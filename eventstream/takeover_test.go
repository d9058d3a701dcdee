package eventstream_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/eventstream"
	"github.com/maestro-es/maestro/store"
)

// frozen is a log whose reader stands still at a given call, like a process that is stopped or cut
// off.
type frozen struct {
	real    eventstream.Log
	at      string // "partition" or "log"
	reached chan struct{}
	release chan struct{}
}

func freeze(log eventstream.Log, at string) *frozen {
	return &frozen{real: log, at: at, reached: make(chan struct{}, 100), release: make(chan struct{})}
}

// pass waits until the reader is released. The reader then continues with what it read before.
func (f *frozen) pass(at string) {
	if f.at == at {
		f.reached <- struct{}{}
		<-f.release
	}
}

func (f *frozen) Partition(ctx context.Context, partition int) (store.Partition, error) {
	row, err := f.real.Partition(ctx, partition)
	f.pass("partition")
	return row, err
}

func (f *frozen) Log(ctx context.Context, partition int, above int64, limit int) ([]store.Event, error) {
	events, err := f.real.Log(ctx, partition, above, limit)
	f.pass("log")
	return events, err
}

// A former owner comes back to life at the worst moments: when its fence is in the stream and it
// has events in hand, or just before it writes its fence after that of its successor.
func TestAFormerOwnerChangesNothing(t *testing.T) {
	t.Parallel()
	for name, at := range map[string]string{"before its fence": "partition", "with events in hand": "log"} {
		for name2, more := range map[string]bool{" while its successor rests": false, " while its successor publishes": true} {
			t.Run(name+name2, func(t *testing.T) {
				t.Parallel()
				r := newRig(t)
				row := r.acquire()
				r.commit(50)
				log := freeze(r.log, at)
				former := r.run(r.publisherOf(log, row, silence))
				former.Committed(50, nil)
				<-log.reached

				next := r.run(r.publisher(r.acquire()))
				next.Committed(r.commit(20))
				r.flush(next)
				r.requireEqual()
				if more {
					next.Committed(r.commit(200))
				}
				close(log.release)
				require.Eventually(t, func() bool {
					position, _ := former.Published() // it has raised its fence, or has found everything published
					return position > 0 || len(former.ended) > 0
				}, 20*time.Second, time.Millisecond)
				next.Committed(r.commit(20))
				r.flush(next)
				r.requireEqual()

				// If the former owner has an event to publish that is not in the stream yet, it notices.
				position, events := r.commit(1)
				former.Committed(position, events)
				require.ErrorIs(t, <-former.ended, store.ErrFenced)
				next.Committed(position, events)
				r.flush(next)
				r.requireEqual()
			})
		}
	}
}

// Owners follow each other while the former ones still publish their events.
func TestManyOwnersAtOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var all []*running
	for range 12 {
		p := r.run(r.publisher(r.acquire()))
		all = append(all, p)
		position, events := r.commit(40)
		for _, p := range all {
			p.Committed(position, events)
		}
	}
	last := all[len(all)-1]
	r.flush(last)
	require.Eventually(t, func() bool { return last.Backlog() == 0 }, 20*time.Second, time.Millisecond)
	r.requireEqual()
	for _, p := range all[:len(all)-1] {
		p.stop()
		if err := <-p.ended; err != nil {
			require.ErrorIs(t, err, store.ErrFenced)
		}
	}
	last.Committed(r.commit(1))
	r.flush(last)
	r.requireEqual()
}
