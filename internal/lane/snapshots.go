package lane

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/internal/telemetry"
	"github.com/maestro-es/maestro/store"
)

// SnapshotStore keeps snapshots.
type SnapshotStore interface {
	SaveSnapshots(ctx context.Context, partition int, snapshots []store.Snapshot) error
}

// Snapshots stores the snapshots of many lanes in the background, so that no command waits for one.
// Snapshots are optional: a snapshot that finds no room in the queue or cannot be stored is left
// out.
type Snapshots struct {
	store      SnapshotStore
	logger     *slog.Logger
	queue      chan placed
	ending     time.Duration
	complained telemetry.Seldom
	held       *Holder // the bytes of the waiting snapshots
}

// placed is a snapshot with its partition.
type placed struct {
	partition int
	store.Snapshot
}

// weight returns the bytes that a snapshot takes from the budget.
func (p placed) weight() int64 { return int64(len(p.Body)) + taskBytes }

const (
	snapshotQueue   = 1024
	snapshotBatch   = 100
	snapshotTimeout = 10 * time.Second
	// endTimeout is how long a stopping worker stores waiting snapshots.
	endTimeout = 5 * time.Second
)

// NewSnapshots returns a Snapshots that saves to s while Run runs.
func NewSnapshots(s SnapshotStore, logger *slog.Logger) *Snapshots {
	return &Snapshots{store: s, logger: logger, queue: make(chan placed, snapshotQueue), ending: endTimeout, held: &Holder{}}
}

// Within counts the waiting snapshots in the Reads budget of m. Call it before anything else.
func (s *Snapshots) Within(m *Memory) *Snapshots {
	s.held = m.saving
	return s
}

// Save stores one snapshot at once.
func (s *Snapshots) Save(ctx context.Context, partition int, of store.Snapshot) error {
	return s.store.SaveSnapshots(ctx, partition, []store.Snapshot{of})
}

// snapshot queues a snapshot of an aggregate. It returns false if there is no room, so that a later
// call may succeed. If the snapshot cannot be encoded it returns true.
func (l *Lane) snapshot(key store.Key, instance aggregate.Instance) bool {
	s := l.Snapshots
	if s == nil || l.silent[key.Type] || len(s.queue) == cap(s.queue) || !s.held.room() {
		return false
	}
	l.doing.turn(Deciding, key, "", "")
	taken, err := encode("snapshot", key, l.Budgets.Silence, instance.Snapshot)
	if err != nil {
		if errors.As(err, new(*silentError)) { // the lane has waited once, and does not wait again for this type
			l.silent[key.Type] = true
		}
		l.Logger.Log(context.Background(), l.complained.Level(slog.LevelWarn), "no snapshot could be taken", "aggregate", key.Type, "error", err)
		return true
	}
	next := placed{l.at.Number, store.Snapshot{Aggregate: key, Snapshot: taken}}
	if !s.held.Try(next.weight()) {
		return false
	}
	select {
	case s.queue <- next:
		return true
	default:
		s.held.Give(next.weight())
		return false
	}
}

// Run stores snapshots until ctx ends. Then it stores the snapshots that are left, for at most
// endTimeout.
func (s *Snapshots) Run(ctx context.Context) {
	saving, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(s.ending, stop) })()
	for {
		select {
		case first := <-s.queue:
			s.save(saving, s.gather(first))
		case <-ctx.Done():
			for len(s.queue) > 0 && saving.Err() == nil {
				s.save(saving, s.gather(<-s.queue))
			}
			if left := len(s.queue); left > 0 {
				s.logger.Info("snapshots were left out, since the store takes them slowly and the worker ends", "snapshots", left)
			}
			return
		}
	}
}

// gather adds the waiting snapshots to the first one, by partition.
func (s *Snapshots) gather(first placed) map[int][]store.Snapshot {
	batch := map[int][]store.Snapshot{first.partition: {first.Snapshot}}
	for range min(len(s.queue), snapshotBatch-1) {
		next := <-s.queue
		batch[next.partition] = append(batch[next.partition], next.Snapshot)
	}
	return batch
}

func (s *Snapshots) save(ctx context.Context, batch map[int][]store.Snapshot) {
	ctx, cancel := context.WithTimeout(ctx, snapshotTimeout)
	defer cancel()
	for partition, snapshots := range batch {
		err := s.store.SaveSnapshots(ctx, partition, snapshots)
		for _, saved := range snapshots {
			s.held.Give(placed{partition, saved}.weight())
		}
		if err != nil {
			s.logger.Log(ctx, s.complained.Level(slog.LevelWarn), "snapshots were not stored", "partition", partition,
				"aggregate", snapshots[0].Aggregate.Type, "error", err)
		}
	}
}
