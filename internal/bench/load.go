package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"

	"github.com/maestro-es/maestro"
	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/examples/counter"
	"github.com/maestro-es/maestro/internal/wire"
	"github.com/maestro-es/maestro/store"
)

// measureLoad is the median time, in milliseconds, to load an aggregate of n events that is not in memory.
func measureLoad(ctx context.Context, s servers, n int) (float64, error) {
	pool, err := pgxpool.New(ctx, s.postgres.URL())
	if err != nil {
		return 0, err
	}
	defer pool.Close()
	log, err := store.Open(ctx, pool, store.Options{Namespace: "bench_load"})
	if err != nil {
		return 0, err
	}
	if err := grow(ctx, log, "long", n); err != nil {
		return 0, err
	}
	var took []time.Duration
	for range 21 {
		repository, err := maestro.NewRepository(ctx, counter.Definition, log, maestro.RepositoryConfig{})
		if err != nil {
			return 0, err
		}
		start := time.Now()
		root, err := repository.Replay(ctx, "long", int64(n))
		if err != nil {
			return 0, err
		}
		took = append(took, time.Since(start))
		if root.Sequence != int64(n) {
			return 0, fmt.Errorf("loaded sequence %d of %d", root.Sequence, n)
		}
	}
	slices.Sort(took)
	return float64(took[len(took)/2].Microseconds()) / 1e3, nil
}

// grow writes n events of one aggregate.
func grow(ctx context.Context, log *store.Postgres, id string, n int) error {
	partition := wire.Partition(counter.Definition.Name(), id, log.Partitions())
	row, err := log.Acquire(ctx, partition, "bench")
	if err != nil {
		return err
	}
	instance, at := counter.Definition.New(id), time.Now().UTC().Truncate(time.Microsecond)
	commit := &store.Commit{Partition: partition, Epoch: row.Epoch, Position: row.Position}
	for i := range n {
		decided, err := instance.Execute("increment", []byte(`{"by":1}`), aggregate.Metadata{Time: at})
		if err != nil {
			return err
		}
		commit.Events = append(commit.Events, store.Event{Partition: partition, Position: row.Position + int64(i) + 1,
			Aggregate: store.Key{Type: "counter", ID: id}, Recorded: decided[0].Recorded, RecordedAt: at})
	}
	return log.Commit(ctx, commit)
}

// measureMemory drains many commands on 100,000 aggregates and shows the worker's memory as it goes.
func measureMemory(ctx context.Context, s servers, o options) error {
	o.commands, o.aggregates = o.memory, 100_000
	nc, err := nats.Connect(s.nats.URL())
	if err != nil {
		return err
	}
	defer nc.Close()
	if err := fill(ctx, nc, o, "bench_memory"); err != nil {
		return err
	}
	worker, err := startWorker(ctx, s, o, "bench_memory", "-every", fmt.Sprint(o.memory/10))
	if err != nil {
		return err
	}
	defer worker.stop()
	fmt.Printf("\n%d commands on %d aggregates, the worker's memory\n", o.commands, o.aggregates)
	for range 10 {
		r, err := worker.next()
		if err != nil {
			return err
		}
		line, _ := json.Marshal(r)
		fmt.Println(string(line))
	}
	return nil
}
