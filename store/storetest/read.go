package storetest

import (
	"encoding/json"
	"fmt"
	"math"

	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/store"
)

func bounds(s *suite) {
	key := counter("1")
	for range 5 {
		s.commit(s.next(key, counter("other")))
	}
	for _, test := range []struct {
		above, upTo int64
		want        []int64
	}{
		{0, 0, []int64{1, 2, 3, 4, 5}},
		{0, 3, []int64{1, 2, 3}},
		{2, 0, []int64{3, 4, 5}},
		{2, 4, []int64{3, 4}},
		{4, 4, nil},
		{5, 0, nil},
		{0, 99, []int64{1, 2, 3, 4, 5}},
	} {
		h := s.history(store.Query{Key: key, Above: test.above, UpTo: test.upTo})
		require.Equal(s, test.want, sequences(h.Events), "above %d up to %d", test.above, test.upTo)
	}
	for _, test := range []struct {
		above int64
		limit int
		want  []int64
	}{{0, 10, []int64{1, 2, 3, 4, 5}}, {0, 2, []int64{1, 2}}, {3, 10, []int64{4, 5}}, {5, 10, nil}, {0, 0, nil}} {
		events, err := s.store.Events(s.ctx(), partition, key, test.above, test.limit)
		require.NoError(s, err)
		require.Equal(s, test.want, sequences(recorded(events)), "above %d, at most %d", test.above, test.limit)
	}
	events, err := s.store.Events(s.ctx(), partition, key, 0, 10)
	require.NoError(s, err)
	var want []store.Event
	for _, e := range s.log() {
		if e.Aggregate == key {
			want = append(want, e)
		}
	}
	sameEvents(s.T, want, events)
}

func logOrder(s *suite) {
	var want []store.Event
	for range 4 {
		c := s.next(counter("b"), counter("a"), counter("c"))
		s.commit(c)
		want = append(want, c.Events...)
	}
	sameEvents(s.T, want, s.log())
	for _, test := range []struct {
		above int64
		limit int
		want  []store.Event
	}{{0, 5, want[:5]}, {5, 5, want[5:10]}, {10, 5, want[10:]}, {12, 5, nil}, {0, 0, nil}} {
		got, err := s.store.Log(s.ctx(), partition, test.above, test.limit)
		require.NoError(s, err)
		sameEvents(s.T, test.want, got)
	}
	other, err := s.store.Log(s.ctx(), partition+1, 0, math.MaxInt32)
	require.NoError(s, err)
	require.Empty(s, other)
}

func manyAggregates(s *suite) {
	account := store.Key{Type: "account", ID: "1"}
	for i := range 40 {
		s.commit(s.next(counter("1"), account, counter(fmt.Sprint("n", i))))
	}
	queries := []store.Query{{Key: counter("1")}, {Key: counter("missing")}, {Key: account, Above: 38}, {Key: counter("n7")},
		{Key: account, UpTo: 3}, {Key: store.Key{Type: "missing", ID: "1"}}, {Key: counter("1"), Above: 39}}
	histories, err := s.store.Load(s.ctx(), partition, queries)
	require.NoError(s, err)
	require.Len(s, histories, len(queries))
	for i, want := range []int{40, 0, 2, 1, 3, 0, 1} {
		require.Len(s, histories[i].Events, want, "%+v", queries[i])
		require.Nil(s, histories[i].Snapshot)
	}
	for i, e := range histories[0].Events {
		require.Equal(s, int64(i)+1, e.Sequence)
		require.Equal(s, "incremented", e.Type)
		require.Equal(s, 1, e.Version)
		require.JSONEq(s, fmt.Sprintf(`{"by": %d}`, 3*i+1), string(e.Body))
	}
	elsewhere, err := s.store.Load(s.ctx(), partition+1, queries[:1])
	require.NoError(s, err)
	require.Empty(s, elsewhere[0].Events)
}

// put commits a snapshot whose body tells its sequence and version.
func (s *suite) put(key store.Key, sequence int64, version int) store.Snapshot {
	s.Helper()
	p := store.Snapshot{Aggregate: key, Snapshot: aggregate.Snapshot{Sequence: sequence, Version: version,
		Body: json.RawMessage(fmt.Sprintf(`{"at":%d,"v":%d}`, sequence, version))}}
	c := s.next()
	c.Snapshots = []store.Snapshot{p}
	s.commit(c)
	return p
}

func (s *suite) snapshot(q store.Query) *aggregate.Snapshot {
	s.Helper()
	return s.history(q).Snapshot
}

func sameSnapshot(s *suite, want store.Snapshot, got *aggregate.Snapshot) {
	s.Helper()
	require.NotNil(s, got)
	require.Equal(s, want.Sequence, got.Sequence)
	require.Equal(s, want.Version, got.Version)
	require.JSONEq(s, string(want.Body), string(got.Body))
}

func snapshotReplaced(s *suite) {
	key := counter("1")
	first, second := store.Query{Key: key, SnapshotVersion: 1}, store.Query{Key: key, SnapshotVersion: 2}
	s.put(key, 3, 1)
	newer := s.put(key, 5, 1)
	sameSnapshot(s, newer, s.snapshot(first))
	s.put(key, 4, 1)
	sameSnapshot(s, newer, s.snapshot(first))

	other := s.put(key, 2, 2)
	sameSnapshot(s, other, s.snapshot(second))
	require.Nil(s, s.snapshot(first), "one snapshot is kept")

	c := s.next()
	for _, sequence := range []int64{7, 9, 8} {
		c.Snapshots = append(c.Snapshots, store.Snapshot{Aggregate: key,
			Snapshot: aggregate.Snapshot{Sequence: sequence, Version: 2, Body: json.RawMessage(`{}`)}})
	}
	s.commit(c)
	require.Equal(s, int64(9), s.snapshot(second).Sequence, "the newest of one commit is kept")
}

func snapshotRead(s *suite) {
	key := counter("1")
	s.commit(s.next(key, key, key, key, key))
	kept := s.put(key, 3, 2)
	for _, test := range []struct {
		query store.Query
		used  bool
		want  []int64
	}{
		{store.Query{SnapshotVersion: 2}, true, []int64{4, 5}},
		{store.Query{SnapshotVersion: 2, UpTo: 4}, true, []int64{4}},
		{store.Query{SnapshotVersion: 2, UpTo: 3}, true, nil},
		{store.Query{SnapshotVersion: 2, UpTo: 2}, false, []int64{1, 2}},
		{store.Query{SnapshotVersion: 1}, false, []int64{1, 2, 3, 4, 5}},
		{store.Query{SnapshotVersion: 0}, false, []int64{1, 2, 3, 4, 5}},
		{store.Query{SnapshotVersion: 2, Above: 1}, false, []int64{2, 3, 4, 5}},
	} {
		test.query.Key = key
		h := s.history(test.query)
		require.Equal(s, test.want, sequences(h.Events), "%+v", test.query)
		if test.used {
			sameSnapshot(s, kept, h.Snapshot)
		} else {
			require.Nil(s, h.Snapshot, "%+v", test.query)
		}
	}
	require.Nil(s, s.snapshot(store.Query{Key: store.Key{Type: "account", ID: "1"}, SnapshotVersion: 2}))
}

func isolation(s *suite) {
	key := counter("1")
	c := s.next(key)
	c.Receipts = []store.Receipt{receipt(key, "c")}
	c.Receipts[0].Error = &store.Error{Code: "a", Message: "b"}
	c.Snapshots = []store.Snapshot{{Aggregate: key,
		Snapshot: aggregate.Snapshot{Sequence: 1, Version: 1, Body: json.RawMessage(`{"a":1}`)}}}
	s.commit(c)
	spoil := func(body []byte) { body[0] = 'X' }
	spoil(c.Events[0].Body)
	spoil(c.Snapshots[0].Body)
	c.Receipts[0].Error.Code = "X"
	for range 2 { // what the first reading returned is spoilt for the second
		log := s.log()
		require.JSONEq(s, `{"by":1}`, string(log[0].Body))
		plain := s.history(store.Query{Key: key})
		require.JSONEq(s, `{"by":1}`, string(plain.Events[0].Body))
		snapped := s.history(store.Query{Key: key, SnapshotVersion: 1})
		require.JSONEq(s, `{"a":1}`, string(snapped.Snapshot.Body))
		found := s.receiptsOf(key, "c")
		require.Equal(s, "a", found[0].Error.Code)
		spoil(log[0].Body)
		spoil(plain.Events[0].Body)
		spoil(snapped.Snapshot.Body)
		found[0].Error.Code = "X"
	}
}
