package store_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/internal/localpg"
	"github.com/maestro-es/maestro/store"
)

// durable returns a store in a cluster that flushes every commit to disk.
func durable(b *testing.B) (*store.Postgres, *pgxpool.Pool) {
	server, err := localpg.Start(b.Context(), localpg.Options{})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, server.Stop()) })
	pool, err := pgxpool.New(b.Context(), server.URL())
	require.NoError(b, err)
	b.Cleanup(pool.Close)
	return open(b, pool, store.Options{}), pool
}

// batchOf returns a commit of n commands, each with one event and a receipt. id chooses the
// aggregate of each.
func batchOf(position int64, n int, id func(i int64) string) *store.Commit {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	c := &store.Commit{Position: position, Known: true}
	if position > 0 {
		c.Time = now.Add(time.Duration(position) * time.Microsecond)
	}
	for i := position + 1; i <= position+int64(n); i++ {
		key := store.Key{Type: "counter", ID: id(i)}
		command := fmt.Sprintf("0198c1f0-7b1e-7000-8000-%012x", i)
		c.Events = append(c.Events, store.Event{
			Position: i, Aggregate: key,
			Recorded: aggregate.Recorded{Sequence: i, Type: "incremented", Version: 1, Body: json.RawMessage(`{"by":12}`)},
			Metadata: store.Metadata{CommandID: command, CorrelationID: command}, RecordedAt: now.Add(time.Duration(i) * time.Microsecond),
		})
		c.Receipts = append(c.Receipts, store.Receipt{Aggregate: key, CommandID: command, Status: store.Committed,
			Sequence: i, Position: i, Events: 1, At: now})
	}
	return c
}

// A command is an event and a receipt: two rows.
func BenchmarkCommit(b *testing.B) {
	for _, n := range []int{1, 16, 256, 1024} {
		b.Run(fmt.Sprintf("commands=%d", n), func(b *testing.B) {
			s, _ := durable(b)
			position := int64(0)
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				c := batchOf(position, n, func(i int64) string { return fmt.Sprint("aggregate-", i) })
				b.StartTimer()
				require.NoError(b, s.Commit(b.Context(), c))
				position += int64(n)
			}
			b.ReportMetric(float64(b.N*n)/b.Elapsed().Seconds(), "commands/s")
		})
	}
}

func BenchmarkLoad(b *testing.B) {
	s, _ := durable(b)
	const events, aggregates = 10_000, 2048
	one := func(int64) string { return "one" }
	for position := int64(0); position < events; position += 1000 {
		require.NoError(b, s.Commit(b.Context(), batchOf(position, 1000, one)))
	}
	many := batchOf(events, aggregates, func(i int64) string { return fmt.Sprint(i) })
	require.NoError(b, s.Commit(b.Context(), many))
	var queries []store.Query
	for _, e := range many.Events {
		queries = append(queries, store.Query{Key: e.Aggregate, SnapshotVersion: 1})
	}
	load := func(b *testing.B, want int, queries ...store.Query) {
		b.ReportAllocs()
		for b.Loop() {
			histories, err := s.Load(b.Context(), 0, queries)
			if err != nil || len(histories[0].Events) != want {
				b.Fatal(len(histories), err)
			}
		}
	}
	b.Run("events=10000", func(b *testing.B) {
		load(b, events, store.Query{Key: store.Key{Type: "counter", ID: "one"}, SnapshotVersion: 1})
	})
	b.Run("aggregates=256", func(b *testing.B) { load(b, 1, queries[:256]...) })
	b.Run("aggregates=1", func(b *testing.B) { load(b, 1, queries[0]) })
}

func BenchmarkReceipts(b *testing.B) {
	s, _ := durable(b)
	c := batchOf(0, 10_000, func(i int64) string { return fmt.Sprint(i) })
	require.NoError(b, s.Commit(b.Context(), c))
	var keys []store.CommandKey
	for _, r := range c.Receipts[:256] {
		keys = append(keys, r.Key())
	}
	missing := slices.Clone(keys)
	for i := range missing {
		missing[i].CommandID += "-missing"
	}
	find := func(b *testing.B, want int, keys []store.CommandKey) {
		b.ReportAllocs()
		for b.Loop() {
			found, err := s.Receipts(b.Context(), 0, keys)
			if err != nil || len(found) != want {
				b.Fatal(len(found), err)
			}
		}
	}
	b.Run("found=256", func(b *testing.B) { find(b, 256, keys) })
	b.Run("missing=256", func(b *testing.B) { find(b, 0, missing) })
}

func BenchmarkLog(b *testing.B) {
	s, _ := durable(b)
	require.NoError(b, s.Commit(b.Context(), batchOf(0, 1000, func(i int64) string { return fmt.Sprint(i) })))
	b.ReportAllocs()
	for b.Loop() {
		events, err := s.Log(b.Context(), 0, 0, 1000)
		if err != nil || len(events) != 1000 {
			b.Fatal(len(events), err)
		}
	}
}
