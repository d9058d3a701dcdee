package lane_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/internal/lane"
	"github.com/maestro-es/maestro/store"
)

// snapshotOf returns the sequence of an aggregate's snapshot in the store, or 0 if there is none.
func (r *rig) snapshotOf(key store.Key) int64 {
	r.Helper()
	histories, err := r.store.Load(context.Background(), 0, []store.Query{{Key: key, SnapshotVersion: 1}})
	require.NoError(r, err)
	if histories[0].Snapshot == nil {
		return 0
	}
	return histories[0].Snapshot.Sequence
}

// requireSnapshots waits until the tallies have snapshots of these sequences.
func (r *rig) requireSnapshots(sequences map[string]int64) {
	r.Helper()
	for id, want := range sequences {
		require.Eventually(r, func() bool { return r.snapshotOf(key(id)) == want }, 20*time.Second, time.Millisecond, id)
	}
}

func TestSnapshotsAreTakenByThePolicyAndUsed(t *testing.T) {
	eachStore(t, func(t *testing.T, s store.Store) {
		r := newRig(t, s).run()
		several := func(id, command string, times int) *lane.Command {
			return &lane.Command{Key: key(id), ID: command, Name: "add", Body: body(Add{By: 1, Times: times})}
		}
		r.batch(several("a", "1", 4), several("b", "1", 5), several("c", "1", 4), several("c", "2", 9))
		r.requireSnapshots(map[string]int64{"a": 0, "b": 5, "c": 13})
		r.batch(several("a", "2", 1), several("b", "2", 4), add("b", "3", 0))
		r.requireSnapshots(map[string]int64{"a": 5, "b": 5})

		again := newRig(t, s).run() // nothing in memory
		for id, total := range map[string]int{"a": 5, "b": 9, "c": 13} {
			root, err := again.look(id, true)
			require.NoError(t, err)
			require.Equal(t, aggregate.Root[Tally]{ID: id, Sequence: int64(total), State: Tally{Total: total}}, root)
		}
	})
}

// Snapshots are optional: a store that takes none changes no outcome.
func TestACommandDoesNotDependOnItsSnapshot(t *testing.T) {
	t.Parallel()
	s := &snapless{Store: store.NewMemory(1)}
	r := newRig(t, s).run()
	for i := range 20 {
		require.Equal(t, "committed", status(r.one(add("a", fmt.Sprint(i), 1)).Outcome))
	}
	r.stop()
	<-r.stopped
	require.EqualValues(t, 4, s.refused.Load(), "at 5, 10, 15 and 20")
}

type snapless struct {
	store.Store
	refused atomic.Int64
}

func (s *snapless) SaveSnapshots(_ context.Context, _ int, snapshots []store.Snapshot) error {
	s.refused.Add(int64(len(snapshots)))
	return errors.New("no snapshots here")
}

// The state in version 1 was once a text and is now a number, but nobody raised the version.
func TestASnapshotThatCannotBeReadIsReplaced(t *testing.T) {
	eachStore(t, func(t *testing.T, s store.Store) {
		odd := store.Key{Type: "odd", ID: "a"}
		of := func(prepare func(Tally) json.RawMessage, use func(json.RawMessage) Tally) func(*lane.Config) {
			return having(define("odd", aggregate.SnapshotEvery[Tally](2), aggregate.Snapshots(1, prepare, use)))
		}
		r := newRig(t, s, of(func(Tally) json.RawMessage { return json.RawMessage(`"text"`) }, func(json.RawMessage) Tally { panic("text") })).run()
		for i := range 3 {
			require.Equal(t, "committed", status(r.one(&lane.Command{Key: odd, ID: fmt.Sprint(i), Name: "add", Body: body(Add{By: 1})}).Outcome))
		}
		r.stop()
		<-r.stopped
		require.EqualValues(t, 2, r.snapshotOf(odd))

		use := func(b json.RawMessage) Tally {
			total, err := strconv.Atoi(string(b))
			if err != nil {
				panic(err)
			}
			return Tally{Total: total}
		}
		r = newRig(t, s, of(func(t Tally) json.RawMessage { return strconv.AppendInt(nil, int64(t.Total), 10) }, use)).run()
		result := r.one(&lane.Command{Key: odd, ID: "3", Name: "add", Body: body(Add{By: 1}), Return: lane.ReturnState})
		require.Equal(t, "committed", status(result.Outcome))
		require.Equal(t, 4, result.Instance.Root().(aggregate.Root[Tally]).State.Total)
		require.EqualValues(t, 4, result.Outcome.Sequence)
		replayed, err := r.Memory.Replay(t.Context(), s, r.Types["odd"], 0, "a", 3)
		require.NoError(t, err)
		require.Equal(t, 3, replayed.Root().(aggregate.Root[Tally]).State.Total)
		r.stop()
		<-r.stopped
		histories, err := s.Load(t.Context(), 0, []store.Query{{Key: odd, SnapshotVersion: 1}})
		require.NoError(t, err)
		require.Equal(t, "4", string(histories[0].Snapshot.Body))
	})
}

// define defines a tally with another name.
func define(name string, options ...aggregate.Option[Tally]) aggregate.Type {
	return aggregate.Define(name, append(options, aggregate.Handles[Add]("add"), aggregate.Emits[Added]("added"))...)
}

// having adds types of aggregates.
func having(types ...aggregate.Type) func(*lane.Config) {
	return func(c *lane.Config) {
		c.Types = map[string]aggregate.Type{"tally": tally}
		for _, t := range types {
			c.Types[t.Name()] = t
		}
	}
}

// ask returns the only command of an aggregate of the given type.
func ask(typ, id string) *lane.Command {
	return &lane.Command{Key: store.Key{Type: typ, ID: id}, ID: "1", Name: "add", Body: body(Add{By: 1})}
}

func TestTheCacheKeepsToItsMemoryAndForgetsTheOldestFirst(t *testing.T) {
	t.Parallel()
	const room = 10_000
	s := &counting{Store: store.NewMemory(1)}
	r := newRig(t, s, func(c *lane.Config) { c.Memory = lane.NewMemory(room, 0) }).run()
	for i := range 200 {
		r.one(add(fmt.Sprint(i), "1", 1))
		r.one(add("often", fmt.Sprint(i), 1))
	}
	loads := s.loads.Load()
	require.EqualValues(t, 202, loads, "one for each aggregate, with the one that the rig looks at")
	r.one(add("often", "more", 1))
	require.Equal(t, loads, s.loads.Load(), "used all the time: in memory")
	r.one(add("0", "more", 1))
	require.Equal(t, loads+1, s.loads.Load(), "not used for long: loaded")
	r.stop()
	<-r.stopped
	stats := r.Stats()
	require.LessOrEqual(t, stats.CachedBytes, int64(room))
	require.Greater(t, stats.CachedBytes, int64(room)/2, "the memory is used")
	require.Greater(t, stats.Cached, int64(10))
	require.Less(t, stats.Cached, int64(100))
}

// counting counts how often aggregates are loaded.
type counting struct {
	store.Store
	loads atomic.Int64
}

func (c *counting) Load(ctx context.Context, partition int, queries []store.Query) ([]store.History, error) {
	c.loads.Add(int64(len(queries)))
	return c.Store.Load(ctx, partition, queries)
}

func TestAStateThatGrowsIsMeasuredAnew(t *testing.T) {
	t.Parallel()
	r := newRig(t, store.NewMemory(1)).run()
	grow := func(note string) int64 {
		r.one(&lane.Command{Key: key("a"), ID: note[:2], Name: "add", Body: body(Add{By: 1, Note: note})})
		r.one(add("b", note[:2], 1)) // by now the command before is concluded
		return r.Stats().CachedBytes
	}
	small := grow("1:")
	require.InDelta(t, small+5000, grow("2:"+strings.Repeat("x", 5000)), 1000)
	require.InDelta(t, small, grow("3:"), 1000)
}

func TestLanesShareTheMemory(t *testing.T) {
	t.Parallel()
	memory := lane.NewMemory(20_000, 0)
	s := store.NewMemory(2)
	var lanes []*rig
	for p := range 2 {
		at, err := s.Acquire(t.Context(), p, t.Name())
		require.NoError(t, err)
		lanes = append(lanes, newRigAt(t, s, at, nil, func(c *lane.Config) { c.Memory = memory }).run())
	}
	for _, r := range lanes {
		for i := range 200 {
			r.one(add(fmt.Sprint(i), "1", 1))
		}
		r.one(add("last", "1", 1))
	}
	inMemory := func(p int) int64 { return lanes[p].Stats().CachedBytes }
	require.Eventually(t, func() bool { return inMemory(0) <= 10_000 }, 20*time.Second, time.Millisecond, "what was lent is given back")
	require.Greater(t, inMemory(0), int64(5_000))
	require.LessOrEqual(t, inMemory(0)+inMemory(1), int64(20_000))
}

func TestAnAggregateLargerThanTheMemoryStays(t *testing.T) {
	t.Parallel()
	s := &counting{Store: store.NewMemory(1)}
	r := newRigAt(t, s, acquired(t, s), nil, func(c *lane.Config) { c.Memory = lane.NewMemory(100, 0) }).run()
	for i := range 5 {
		r.one(add("a", fmt.Sprint(i), 1))
	}
	require.EqualValues(t, 1, r.Stats().Cached)
	loaded := s.loads.Load()
	results := r.put(add("a", "last", 1))
	<-results
	require.Equal(t, loaded, s.loads.Load(), "it is not loaded again")
}

func TestIdleAggregatesGoAsTheirTypeSays(t *testing.T) {
	eachStore(t, func(t *testing.T, s store.Store) {
		stays, exits := define("stays", aggregate.WhenIdle[Tally](aggregate.Stay)), define("exits")
		snaps := define("snaps", aggregate.WhenIdle[Tally](aggregate.ExitWithSnapshot))
		r := newRig(t, s, having(stays, exits, snaps), func(c *lane.Config) { c.Memory = lane.NewMemory(1<<20, 20*time.Millisecond) }).run()
		r.batch(ask("stays", "a"), ask("exits", "a"), ask("snaps", "a"))
		snapped := func() bool { return r.snapshotOf(store.Key{Type: "snaps", ID: "a"}) == 1 }
		require.Eventually(t, snapped, 20*time.Second, time.Millisecond)
		require.Eventually(t, func() bool { return r.Stats().Cached == 1 }, 20*time.Second, time.Millisecond)
		r.stop()
		<-r.stopped
		require.EqualValues(t, 0, r.snapshotOf(store.Key{Type: "exits", ID: "a"}))
		require.EqualValues(t, 1, r.Stats().Cached, "the one that stays")
	})
}

// A batch may need more aggregates than the cache holds, old ones among them.
func TestASmallCacheChangesNoResult(t *testing.T) {
	eachStore(t, func(t *testing.T, s store.Store) {
		r := newRig(t, s, func(c *lane.Config) { c.MaxBatch, c.Memory = 4, lane.NewMemory(0, 0) }).run()
		sequences := map[string]int64{}
		n := 0
		for _, ids := range []string{"abcd", "aefg", "gfea", "hijk", "abcd", "aaha", "bijk"} {
			var commands []*lane.Command
			for _, id := range ids {
				n++
				commands = append(commands, add(string(id), fmt.Sprint(n), 1))
			}
			for i, result := range r.batch(commands...) {
				id := ids[i : i+1]
				sequences[id]++
				require.Equal(t, "committed", status(result.Outcome), "%s of %s", id, ids)
				require.Equal(t, sequences[id], result.Outcome.Sequence, "%s of %s", id, ids)
			}
		}
	})
}
