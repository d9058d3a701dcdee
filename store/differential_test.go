package store_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/store"
)

// The same random calls must get the same answers from both stores.
func TestMemoryDoesWhatPostgresDoes(t *testing.T) {
	t.Parallel()
	const partitions = 1000 // one for each example
	postgres := open(t, newPool(t), store.Options{Partitions: partitions})
	memory := store.NewMemory(partitions)
	var used atomic.Int64
	rapid.Check(t, func(rt *rapid.T) {
		p := &pair{T: rt, partition: int(used.Add(1)) % partitions, stores: [2]store.Store{memory, postgres}}
		rt.Repeat(map[string]func(*rapid.T){
			"acquire":  p.acquire,
			"commit":   p.commit,
			"load":     p.load,
			"snapshot": p.snapshot,
			"":         p.compare,
		})
	})
}

type pair struct {
	*rapid.T
	partition int
	stores    [2]store.Store
}

// same makes the same call to both stores and compares the results.
func same[V any](p *pair, call func(store.Store) (V, error)) V {
	left, leftErr := call(p.stores[0])
	right, rightErr := call(p.stores[1])
	require.NoError(p, leftErr)
	require.NoError(p, rightErr)
	require.Equal(p, asJSON(p, left), asJSON(p, right))
	return left
}

func asJSON(p *pair, v any) string {
	text, err := json.MarshalIndent(v, "", " ")
	require.NoError(p, err)
	return string(text)
}

func (p *pair) acquire(rt *rapid.T) {
	owner := rapid.StringMatching(`[a-z]{1,3}`).Draw(rt, "owner")
	same(p, func(s store.Store) (store.Partition, error) {
		return timeless(s.Acquire(p.Context(), p.partition, owner))
	})
}

// timeless removes the clock, which differs between the stores.
func timeless(row store.Partition, err error) (store.Partition, error) {
	row.Clock = time.Time{}
	return row, err
}

func (p *pair) compare(*rapid.T) {
	same(p, func(s store.Store) (store.Partition, error) { return timeless(s.Partition(p.Context(), p.partition)) })
	same(p, func(s store.Store) ([]store.Event, error) {
		events, err := s.Log(p.Context(), p.partition, 0, 1000)
		return append([]store.Event{}, events...), err
	})
}

var keys = rapid.Custom(func(t *rapid.T) store.Key {
	return store.Key{Type: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "type"), ID: rapid.StringMatching(`[1-3]`).Draw(t, "id")}
})

func (p *pair) load(rt *rapid.T) {
	queries := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) store.Query {
		n := rapid.Int64Range(0, 6)
		return store.Query{Key: keys.Draw(t, "key"), Above: n.Draw(t, "above"), UpTo: n.Draw(t, "up to"),
			SnapshotVersion: rapid.IntRange(0, 2).Draw(t, "version")}
	}), 0, 5).Draw(rt, "queries")
	same(p, func(s store.Store) ([]store.History, error) { return s.Load(p.Context(), p.partition, queries) })

	var commands []store.CommandKey
	for _, q := range queries {
		commands = append(commands, store.CommandKey{Key: q.Key, CommandID: commandIDs.Draw(rt, "command")})
		above, limit := q.Above, int(q.UpTo)
		same(p, func(s store.Store) ([]store.Event, error) {
			events, err := s.Events(p.Context(), p.partition, q.Key, above, limit)
			return append([]store.Event{}, events...), err
		})
	}
	same(p, func(s store.Store) ([]string, error) {
		found, err := s.Receipts(p.Context(), p.partition, commands)
		var list []string
		for _, c := range commands {
			list = append(list, asJSON(p, found[c]))
		}
		return list, err
	})
}

func (p *pair) snapshot(rt *rapid.T) {
	snapshots := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) store.Snapshot {
		return store.Snapshot{Aggregate: keys.Draw(t, "key"), Snapshot: aggregate.Snapshot{
			Sequence: rapid.Int64Range(-1, 6).Draw(t, "sequence"), Version: rapid.IntRange(1, 2).Draw(t, "version"),
			Body: json.RawMessage(fmt.Sprint(rapid.Int().Draw(t, "body")))}}
	}), 0, 4).Draw(rt, "snapshots")
	same(p, func(s store.Store) (string, error) { return "", s.SaveSnapshots(p.Context(), p.partition, snapshots) })
}

var commandIDs = rapid.StringMatching(`[a-z]`)

// outcomeOf returns the class of an error. Both stores must agree on it.
func outcomeOf(err error) string {
	for _, known := range []error{store.ErrFenced, store.ErrConflict, store.ErrDuplicate} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	if _, ok := errors.AsType[*store.DataError](err); ok {
		return "data"
	}
	return fmt.Sprint(err)
}

func (p *pair) commit(rt *rapid.T) {
	c := p.drawCommit(rt)
	left, right := p.stores[0].Commit(p.Context(), c), p.stores[1].Commit(p.Context(), c)
	require.Equal(p, outcomeOf(left), outcomeOf(right))
}

func (p *pair) drawCommit(rt *rapid.T) *store.Commit {
	row, err := p.stores[0].Partition(p.Context(), p.partition)
	require.NoError(p, err)
	at := time.UnixMicro(rapid.Int64Range(1, 1<<50).Draw(rt, "time")).UTC()
	c := &store.Commit{Partition: p.partition, Epoch: row.Epoch, Position: row.Position, Time: row.Time, Published: row.Position,
		Cursor: store.Cursor{StreamCreated: at, Sequence: rapid.Uint64Range(0, 1<<40).Draw(rt, "cursor"), Time: at}}
	fault := rapid.SampledFrom([]string{"", "", "", "", "epoch", "position", "sequence", "data"}).Draw(rt, "fault")
	switch fault {
	case "epoch":
		c.Epoch += rapid.SampledFrom([]int64{-1, 1}).Draw(rt, "epoch")
	case "position":
		c.Position += rapid.SampledFrom([]int64{-1, 1}).Draw(rt, "position")
	}
	next := map[store.Key]int64{}
	for i, key := range rapid.SliceOfN(keys, 0, 4).Draw(rt, "keys") {
		if next[key] == 0 {
			events, err := p.stores[0].Events(p.Context(), p.partition, key, 0, 1000)
			require.NoError(p, err)
			next[key] = int64(len(events)) + 1
		}
		body := rapid.SampledFrom([]string{`{}`, `{"a":[1,null,"x"],"a":1e2}`, `"\u0000"`}).Draw(rt, "body")
		kind := "e"
		if fault == "data" {
			kind = "\x00"
		}
		sequence := next[key]
		if fault == "sequence" && sequence > 1 {
			sequence--
		}
		c.Events = append(c.Events, store.Event{Position: c.Position + int64(i) + 1, Aggregate: key,
			Recorded:   aggregate.Recorded{Sequence: sequence, Type: kind, Version: 1, Body: json.RawMessage(body)},
			Metadata:   store.Metadata{CommandID: commandIDs.Draw(rt, "cause")},
			RecordedAt: at.Add(time.Duration(i) * time.Microsecond)})
		if fault == "" { // a duplicate receipt would be a second fault
			c.Receipts = append(c.Receipts, store.Receipt{Aggregate: key, CommandID: commandIDs.Draw(rt, "command"),
				Status: store.Committed, Sequence: sequence, Position: c.Position + int64(i) + 1, Events: 1, At: at})
		}
		next[key]++
	}
	return c
}
