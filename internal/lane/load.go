package lane

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/store"
)

// load brings the batch's aggregates, in one round trip those that are not in memory.
func (a *attempt) load(ctx context.Context) error {
	l := a.lane
	var queries []store.Query
	var instances []aggregate.Instance // that they are about
	for _, t := range a.tasks {
		key := t.key()
		typ, known := l.Types[key.Type]
		if _, seen := a.now[key]; seen || !known {
			continue
		}
		instance := l.cache.get(key)
		a.now[key] = instance
		if instance == nil {
			instance = typ.New(key.ID)
			instances = append(instances, instance)
			queries = append(queries, store.Query{Key: key, SnapshotVersion: typ.SnapshotVersion(),
				Restore: l.restorer(key, instance), Each: instance.Prepare})
		}
	}
	if len(queries) == 0 {
		return nil
	}
	a.loaded = len(queries)
	histories, err := l.Store.Load(ctx, l.at.Number, queries)
	if err != nil {
		return fmt.Errorf("load aggregates: %w", err)
	}
	a.broken = map[store.Key]error{}
	for i, q := range queries {
		if err := fold(instances[i], histories[i]); err != nil {
			a.broken[q.Key] = err
			l.Logger.Log(ctx, l.complained.Level(slog.LevelError), "the history of an aggregate cannot be read",
				"aggregate", q.Type, "id", q.ID, "error", err)
			continue
		}
		a.now[q.Key] = instances[i]
		entry := cached{instance: instances[i]}
		if h := histories[i].Snapshot; h != nil {
			entry.snapshot = h.Sequence
		}
		l.cache.put(q.Key, entry)
	}
	return nil
}

// restorer restores an aggregate from its snapshot. One that cannot be read, because the state's form has changed and its version was
// not raised, is said once: the events are read instead, and the next snapshot replaces it.
func (l *Lane) restorer(key store.Key, instance aggregate.Instance) func(aggregate.Snapshot) error {
	return func(s aggregate.Snapshot) error {
		err := instance.Restore(s)
		if err != nil {
			l.Logger.Log(context.Background(), l.complained.Level(slog.LevelWarn),
				"a snapshot cannot be read: the events are read instead; raise the version of aggregate.Snapshots when the state changes its form",
				"aggregate", key.Type, "id", key.ID, "error", err)
		}
		return err
	}
}

// fold replays a history, whose snapshot was restored.
func fold(into aggregate.Instance, h store.History) error { return into.Apply(h.Events...) }

// Replay reads an aggregate as it was at a sequence, or as it is in the store for the sequence 0. The result is at a lower
// sequence if the aggregate has not come that far.
func Replay(ctx context.Context, s Store, typ aggregate.Type, partition int, id string, sequence int64) (aggregate.Instance, error) {
	instance := typ.New(id)
	histories, err := s.Load(ctx, partition, []store.Query{{Key: store.Key{Type: typ.Name(), ID: id}, UpTo: sequence,
		SnapshotVersion: typ.SnapshotVersion(), Restore: instance.Restore, Each: instance.Prepare}})
	if err != nil {
		return nil, fmt.Errorf("replay %s %s: %w", typ.Name(), id, err)
	}
	if err := fold(instance, histories[0]); err != nil {
		return nil, err
	}
	return instance, nil
}

// again is the result of a command that has a receipt. What it wants beside the status, the events that were its own or the
// aggregate right after it, is read from the log, or is in this very batch.
func (a *attempt) again(ctx context.Context, c *Command, r store.Receipt) (result Result, err error) {
	result.Outcome = r.Outcome(a.commit.Partition)
	typ, known := a.lane.Types[c.Key.Type]
	after, here := a.after[c.key()]
	switch {
	case r.Status != store.Committed:
		result.Err = r.Error
	case !known:
	case here:
		end := int(r.Position - a.commit.Position)
		result.show(c.Return, a.commit.Events[end-r.Events:end], after)
	case c.Return == ReturnEvents && r.Events > 0:
		result.Events, err = a.lane.Store.Events(ctx, a.commit.Partition, c.Key, r.Sequence-int64(r.Events), r.Events)
	case c.Return == ReturnState && r.Sequence == 0:
		result.Instance = typ.New(c.Key.ID)
	case c.Return == ReturnState:
		result.Instance, err = Replay(ctx, a.lane.Store, typ, a.commit.Partition, c.Key.ID, r.Sequence)
		if err != nil && !store.Judge(err).Passes() {
			result.Outcome.Error, err = &store.Error{Code: codeStateUnavailable, Message: err.Error()}, nil
		}
	}
	if err != nil {
		return result, fmt.Errorf("read what a duplicate led to: %w", err)
	}
	return result, nil
}

func (l *Lane) typeNames() string {
	return strings.Join(slices.Sorted(maps.Keys(l.Types)), ", ")
}
