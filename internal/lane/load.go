package lane

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/store"
)

// load loads the batch's aggregates that are not in memory, in one round trip, or in several if one
// takes too long. Aggregates that cannot be loaded within a turn are left unread, and the next turn
// goes on with them. Aggregates that are read page by page wait for a turn in which nothing else is
// ready, but never for two turns in a row.
func (a *attempt) load(ctx context.Context) error {
	l := a.lane
	whole, pages := a.missing()
	if len(whole)+len(pages) == 0 {
		return nil
	}
	a.loaded, a.unread = len(whole)+len(pages), map[store.Key]bool{}
	start := time.Now()
	for len(whole) > 0 {
		done, err := a.loadSome(ctx, whole[:min(len(whole), l.loads.atOnce)])
		if err != nil {
			return err
		}
		if whole = whole[done:]; time.Since(start) > l.Budgets.Turn {
			break
		}
	}
	a.leave(whole)
	if l.loads.owed = len(pages) > 0 && !l.loads.owed && a.isReady(pages); l.loads.owed {
		a.leave(pages)
		return nil
	}
	return a.loadPages(ctx, pages)
}

// missing returns queries for the aggregates that are not in memory: those to load whole, and those
// to load page by page.
func (a *attempt) missing() (whole, pages []store.Query) {
	l := a.lane
	for _, t := range a.tasks {
		key := t.key()
		typ, known := l.Types[key.Type]
		if _, seen := a.now[key]; seen || !known {
			continue
		}
		instance := l.cache.get(key)
		a.now[key] = instance
		query := store.Query{Key: key, SnapshotVersion: typ.SnapshotVersion()}
		switch err := l.exits[key]; {
		case err != nil:
			delete(l.exits, key) // the next batch tries it again
			a.breaks(key, err)
		case instance != nil:
		case l.loads.partly[key] != nil:
			pages = append(pages, query)
		default:
			whole = append(whole, query)
		}
	}
	return whole, pages
}

// leave marks aggregates as unread.
func (a *attempt) leave(queries []store.Query) {
	for _, q := range queries {
		a.unread[q.Key] = true
		a.loaded--
	}
}

// isReady tells whether a task can be evaluated without the given aggregates.
func (a *attempt) isReady(without []store.Query) bool {
	return slices.ContainsFunc(a.tasks, func(t task) bool {
		return !a.unread[t.key()] && !slices.ContainsFunc(without, func(q store.Query) bool { return q.Key == t.key() })
	})
}

// loadSome loads aggregates in one exchange, and returns how many are done. If they were too many
// for one exchange, it returns 0 and the next exchange loads fewer.
func (a *attempt) loadSome(ctx context.Context, queries []store.Query) (done int, err error) {
	l := a.lane
	instances := make([]aggregate.Instance, len(queries))
	for i := range queries {
		l.hand = hand{key: queries[i].Key}
		instances[i] = l.Types[queries[i].Type].New(queries[i].ID)
		queries[i].Restore, queries[i].Each = l.restorer(queries[i].Key, instances[i]), l.preparer(queries[i].Key, instances[i])
	}
	room, err := l.Memory.loading.reading(ctx)
	if err != nil {
		return 0, err
	}
	defer room()
	start := time.Now()
	histories, err := l.readHistories(ctx, queries)
	large, isLarge := errors.AsType[*store.LargeError](err)
	switch {
	case err == nil:
		l.loads.inTime(len(queries), time.Since(start), l.MaxBatch)
		for i, q := range queries {
			a.take(q.Key, instances[i], histories[i])
		}
		return len(queries), nil
	case isLarge && len(queries) == 1:
		l.loads.begin(queries[0].Key, l.Types[queries[0].Type].New(queries[0].ID), large.Fits())
		a.leave(queries) // the next turn reads it page by page
		return 1, nil
	case isLarge:
		l.loads.atOnce = max(1, len(queries)/2)
		return 0, nil
	case len(queries) > 1 && (isLate(err) || isUnreadable(err)):
		l.loads.late(len(queries), time.Since(start))
		return 0, nil
	case isLate(err):
		l.loads.late(1, time.Since(start))
		l.loads.begin(queries[0].Key, l.Types[queries[0].Type].New(queries[0].ID), firstPage)
		a.leave(queries) // the next turn begins with others
		return 1, nil
	case isUnreadable(err):
		a.breaks(queries[0].Key, err)
		return 1, nil
	}
	return 0, err
}

func (l *Lane) readHistories(ctx context.Context, queries []store.Query) ([]store.History, error) {
	l.doing.begin(Loading)
	ctx, cancel := context.WithTimeout(ctx, l.Budgets.Attempt)
	defer cancel()
	histories, err := l.Store.Load(ctx, l.at.Number, queries)
	if err != nil {
		return nil, fmt.Errorf("load aggregates: %w", err)
	}
	return histories, nil
}

// take replays a history into an aggregate and caches it.
func (a *attempt) take(key store.Key, instance aggregate.Instance, h store.History) {
	l := a.lane
	l.doing.turn(Deciding, key, "", "")
	l.hand = hand{key: key}
	if err := fold(instance, h); err != nil {
		a.breaks(key, err)
		return
	}
	a.now[key] = instance
	entry := cached{instance: instance}
	if h.Snapshot != nil {
		entry.snapshot = h.Snapshot.Sequence
	}
	l.cache.put(key, entry)
}

// breaks notes that an aggregate cannot be read.
func (a *attempt) breaks(key store.Key, err error) {
	if a.broken == nil {
		a.broken = map[store.Key]error{}
	}
	a.broken[key] = err
	a.lane.Logger.Log(context.Background(), a.lane.complained.Level(slog.LevelError), "the history of an aggregate cannot be read",
		"aggregate", key.Type, "id", key.ID, "error", err)
}

// restorer returns a function that restores an aggregate from its snapshot. A snapshot is
// unreadable if the form of the state has changed but its version was not raised. Then the function
// logs a warning, the events are read instead, and the next snapshot replaces the unreadable one.
func (l *Lane) restorer(key store.Key, instance aggregate.Instance) func(aggregate.Snapshot) error {
	return func(s aggregate.Snapshot) error {
		l.hand = hand{key: key}
		err := instance.Restore(s)
		if err != nil {
			l.Logger.Log(context.Background(), l.complained.Level(slog.LevelWarn),
				"a snapshot cannot be read: the events are read instead; raise the version of aggregate.Snapshots when the state changes its form",
				"aggregate", key.Type, "id", key.ID, "error", err)
		}
		return err
	}
}

// preparer returns a function that decodes events of an aggregate as they arrive.
func (l *Lane) preparer(key store.Key, instance aggregate.Instance) func(aggregate.Recorded) {
	return func(r aggregate.Recorded) {
		l.hand = hand{key: key}
		instance.Prepare(r)
	}
}

// fold applies the events of a history. Its snapshot was restored before.
func fold(into aggregate.Instance, h store.History) error { return into.Apply(h.Events...) }

// again returns the result of a command that has a receipt. If the command wants its events or the
// aggregate right after it, they come from this batch or are read from the log.
func (a *attempt) again(ctx context.Context, i int, c *Command, r store.Receipt) (result Result, err error) {
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
		ctx, cancel := context.WithTimeout(ctx, a.lane.Budgets.Attempt)
		defer cancel()
		result.Events, err = a.eventsOf(ctx, c.Key, r)
	case c.Return == ReturnState && r.Sequence == 0:
		result.Instance = typ.New(c.Key.ID)
	case c.Return == ReturnState:
		if a.folding == nil {
			a.folding = map[int]bool{}
		}
		a.folding[i] = true // beside the lane
	}
	if err != nil {
		return result, fmt.Errorf("read what a duplicate led to: %w", err)
	}
	return result, nil
}

// eventsOf reads the events of a command from the log.
func (a *attempt) eventsOf(ctx context.Context, key store.Key, r store.Receipt) (all []store.Event, err error) {
	for above := r.Sequence - int64(r.Events); above < r.Sequence; above = all[len(all)-1].Sequence {
		page, err := a.lane.Store.Events(ctx, a.commit.Partition, key, above, int(r.Sequence-above))
		if err != nil || len(page) == 0 {
			return all, err
		}
		all = append(all, page...)
	}
	return all, nil
}

func (l *Lane) typeNames() string {
	return strings.Join(slices.Sorted(maps.Keys(l.Types)), ", ")
}
