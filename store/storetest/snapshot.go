package storetest

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/store"
)

// snapshotOf returns a snapshot whose body contains its sequence and version.
func snapshotOf(key store.Key, sequence int64, version int) store.Snapshot {
	return store.Snapshot{Aggregate: key, Snapshot: aggregate.Snapshot{Sequence: sequence, Version: version,
		Body: json.RawMessage(fmt.Sprintf(`{"at":%d,"v":%d}`, sequence, version))}}
}

// put saves a snapshot.
func (s *suite) put(key store.Key, sequence int64, version int) store.Snapshot {
	s.Helper()
	p := snapshotOf(key, sequence, version)
	require.NoError(s, s.store.SaveSnapshots(s.ctx(), partition, []store.Snapshot{p}))
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
	require.Equal(s, want.Body, got.Body)
}

func snapshotReplaced(s *suite) {
	key := counter("1")
	for range 9 {
		s.commit(s.next(key))
	}
	first, second := store.Query{Key: key, SnapshotVersion: 1}, store.Query{Key: key, SnapshotVersion: 2}
	s.put(key, 3, 1)
	newer := s.put(key, 5, 1)
	sameSnapshot(s, newer, s.snapshot(first))
	s.put(key, 4, 1)
	sameSnapshot(s, newer, s.snapshot(first))

	other := s.put(key, 2, 2)
	sameSnapshot(s, other, s.snapshot(second))
	require.Nil(s, s.snapshot(first), "one snapshot is kept")

	require.NoError(s, s.store.SaveSnapshots(s.ctx(), partition, []store.Snapshot{
		snapshotOf(key, 7, 2), snapshotOf(key, 9, 2), snapshotOf(key, 8, 2)}))
	require.Equal(s, int64(9), s.snapshot(second).Sequence, "the newest of several is kept")
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

func snapshotUnstorable(s *suite) {
	s.commit(s.next(counter("1"), counter("2")))
	for _, id := range []string{"\x00", "\xff"} {
		bad := snapshotOf(counter(id), 1, 1)
		err := s.store.SaveSnapshots(s.ctx(), partition, []store.Snapshot{snapshotOf(counter("1"), 1, 1), bad})
		var data *store.DataError
		require.ErrorAs(s, err, &data, id)
		require.Nil(s, s.snapshot(store.Query{Key: counter("1"), SnapshotVersion: 1}), "all or nothing")
	}
}

// snapshotUnusable checks that a snapshot that its reader cannot use is ignored.
func snapshotUnusable(s *suite) {
	key, other := counter("1"), counter("2")
	s.commit(s.next(key, key, key, other))
	s.put(key, 2, 1)
	s.put(other, 1, 1)
	asked := 0
	refuse := func(aggregate.Snapshot) error { asked++; return errors.New("of an older form") }
	take := func(aggregate.Snapshot) error { return nil }
	histories, err := s.store.Load(s.ctx(), partition, []store.Query{{Key: other, SnapshotVersion: 1, Restore: take},
		{Key: key, SnapshotVersion: 1, Restore: refuse}, {Key: key, SnapshotVersion: 1, UpTo: 2, Restore: refuse}})
	require.NoError(s, err)
	require.Equal(s, 2, asked)
	require.NotNil(s, histories[0].Snapshot)
	require.Empty(s, histories[0].Events)
	require.Nil(s, histories[1].Snapshot)
	require.Equal(s, []int64{1, 2, 3}, sequences(histories[1].Events))
	require.Equal(s, []int64{1, 2}, sequences(histories[2].Events))

	again := snapshotOf(key, 2, 1)
	again.Body = json.RawMessage(`{"new":"form"}`)
	require.NoError(s, s.store.SaveSnapshots(s.ctx(), partition, []store.Snapshot{again}))
	require.Equal(s, again.Body, s.snapshot(store.Query{Key: key, SnapshotVersion: 1}).Body, "one of the same sequence replaces it")
}

// snapshotAhead checks a snapshot beyond the end of the log. A worker may still have one when its
// log is replaced by an older one.
func snapshotAhead(s *suite) {
	s.commit(s.next(counter("1"), counter("1")))
	s.put(counter("1"), 3, 1)
	s.put(counter("2"), 1, 1)
	require.Nil(s, s.snapshot(store.Query{Key: counter("1"), SnapshotVersion: 1}))
	require.Nil(s, s.snapshot(store.Query{Key: counter("2"), SnapshotVersion: 1}))
	s.commit(s.next(counter("2")))
	require.Nil(s, s.snapshot(store.Query{Key: counter("2"), SnapshotVersion: 1}), "it does not come later either")
	require.Error(s, s.store.SaveSnapshots(s.ctx(), s.store.Partitions(), nil), "no such partition")
}
