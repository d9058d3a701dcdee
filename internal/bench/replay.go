package main

import (
	"context"
	"fmt"
	"time"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/internal/heap"
	"github.com/maestro-es/maestro/internal/wire"
	"github.com/maestro-es/maestro/repository"
	"github.com/maestro-es/maestro/store"
)

// replay is the experiment replay.
func replay(ctx context.Context, l *lab) (r result, err error) {
	log, err := store.Open(ctx, l.pool, store.Options{Namespace: string(l.namespace()), Partitions: 16})
	if err != nil {
		return r, err
	}
	defer log.Close()
	heap.Reserve(workerReserve)
	defer heap.Reserve(0)
	r.notef("The time until an aggregate that is in no memory is there, in a process with a worker's heap, median of %d. After the "+
		"snapshot come %d more events, as they do on average where one is taken every %d.", loads, snapshotEvery/2, snapshotEvery)
	t := table{head: []string{"events", "from its events, ms", "goal", "from a snapshot, ms", "goal"}}
	p := plotted{name: "replay", x: axis{label: "events of the aggregate", log: true}, y: axis{label: "ms", log: true},
		lines: []line{{name: "from its events"}, {name: "from a snapshot"}}}
	for _, n := range []int{10, 100, 1_000, 10_000, 100_000} {
		plain, quick, err := l.loadTimes(ctx, log, n)
		if err != nil {
			return r, fmt.Errorf("%d events: %w", n, err)
		}
		goals := [2]string{}
		if n == 10_000 {
			goals = [2]string{"≤ 8", "≤ 1"}
		}
		t.add(count(float64(n)), millis(plain), goals[0], millis(quick), goals[1])
		p.lines[0].points = append(p.lines[0].points, point{float64(n), plain})
		p.lines[1].points = append(p.lines[1].points, point{float64(n), quick})
	}
	r.tables, r.plots = append(r.tables, t), append(r.plots, p)
	return r, nil
}

// loadTimes returns the milliseconds to load an aggregate of n events, without and with a snapshot.
func (l *lab) loadTimes(ctx context.Context, log *store.Postgres, n int) (plain, quick float64, err error) {
	instance := tallies.New(fmt.Sprintf("of-%d", n))
	if err := grow(ctx, log, instance, n); err != nil {
		return 0, 0, err
	}
	if plain, err = loadTime(ctx, log, instance); err != nil {
		return 0, 0, err
	}
	library, err := repository.New(ctx, tallies, log, repository.Config{})
	if err != nil {
		return 0, 0, err
	}
	if err := library.Snapshot(ctx, instance.ID()); err != nil {
		return 0, 0, err
	}
	if err := grow(ctx, log, instance, snapshotEvery/2); err != nil {
		return 0, 0, err
	}
	quick, err = loadTime(ctx, log, instance)
	return plain, quick, err
}

const (
	// loads is how often an aggregate is loaded. It is often enough that most loads find memory
	// that the process has used before, like in a worker that has run for a while.
	loads = 401
	// snapshotEvery is how often a worker may take a snapshot.
	snapshotEvery = 100
)

// loadTime returns the median time to load an aggregate, in milliseconds.
func loadTime(ctx context.Context, log *store.Postgres, of aggregate.Instance) (float64, error) {
	var took []float64
	for range loads {
		library, err := repository.New(ctx, tallies, log, repository.Config{})
		if err != nil {
			return 0, err
		}
		start := time.Now()
		root, err := library.Replay(ctx, of.ID(), of.Sequence())
		if err != nil {
			return 0, err
		}
		took = append(took, float64(time.Since(start).Microseconds())/1e3)
		if root.State.Total != int(of.Sequence()) {
			return 0, fmt.Errorf("loaded a total of %d, expected %d", root.State.Total, of.Sequence())
		}
	}
	return median(took), nil
}

// grow commits n more events of an aggregate.
func grow(ctx context.Context, log *store.Postgres, instance aggregate.Instance, n int) error {
	partition := wire.Partition(tallyType, instance.ID(), log.Partitions())
	row, err := log.Acquire(ctx, partition, "bench")
	if err != nil {
		return err
	}
	at := time.Now().UTC().Truncate(time.Microsecond)
	commit := &store.Commit{Partition: partition, Epoch: row.Epoch, Position: row.Position, Time: row.Time}
	for i := range n {
		decided, err := instance.Execute(addCommand, payload(1, 0), aggregate.Metadata{Time: at})
		if err != nil {
			return err
		}
		commit.Events = append(commit.Events, store.Event{Partition: partition, Position: row.Position + int64(i) + 1,
			Aggregate: store.Key{Type: tallyType, ID: instance.ID()}, Recorded: decided[0].Recorded, RecordedAt: at})
	}
	return log.Commit(ctx, commit)
}
