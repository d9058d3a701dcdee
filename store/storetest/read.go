package storetest

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"

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

// sequencesGoOn checks that the sequences of an aggregate's events in a commit follow each other.
func sequencesGoOn(s *suite) {
	for _, wrong := range [][]int64{{0}, {-1}, {1, 3}, {3, 5}, {1, 1}, {2, 1}} {
		c := s.next()
		for _, sequence := range wrong {
			c.Events = append(c.Events, event(counter("a"), sequence, c.Position+int64(len(c.Events))+1))
		}
		err := s.store.Commit(s.ctx(), c)
		require.ErrorContains(s, err, "sequence", "%v", wrong)
		require.False(s, store.Judge(err).Passes(), "%v", wrong)
	}
	require.Empty(s, s.log())
	s.commit(s.next(counter("a"), counter("b"), counter("a"), counter("a")))
}

// pagesOfBytes checks that a page also ends when it has enough bytes.
func pagesOfBytes(s *suite) {
	const size, many = store.PageBytes / 8, 20
	big := counter("big")
	for i := range int64(many) {
		c := s.next()
		c.Events = append(c.Events, event(big, i+1, c.Position+1))
		c.Events[0].Body = json.RawMessage(`"` + strings.Repeat("x", size-2) + `"`)
		s.commit(c)
	}
	page, err := s.store.Events(s.ctx(), partition, big, 0, many)
	require.NoError(s, err)
	require.Equal(s, []int64{1, 2, 3, 4, 5, 6, 7, 8}, sequences(recorded(page)))
	page, err = s.store.Log(s.ctx(), partition, 18, many)
	require.NoError(s, err)
	require.Equal(s, []int64{19, 20}, sequences(recorded(page)))
	page, err = s.store.Log(s.ctx(), partition, 0, many)
	require.NoError(s, err)
	require.Len(s, page, 8)

	var large *store.LargeError
	_, err = s.store.Load(s.ctx(), partition, []store.Query{{Key: big}})
	require.ErrorAs(s, err, &large)
	require.Equal(s, 8, large.Events)
	histories, err := s.store.Load(s.ctx(), partition, []store.Query{{Key: big, Above: 8, Most: 6}})
	require.NoError(s, err)
	require.Len(s, histories[0].Events, 6)
	_, err = s.store.Load(s.ctx(), partition, []store.Query{{Key: big, Most: 6}, {Key: big, Above: 10, Most: 6}})
	require.ErrorAs(s, err, &large)
	require.Zero(s, large.Events)
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
	each := make([][]aggregate.Recorded, len(queries))
	for i := range queries {
		queries[i].Each = func(r aggregate.Recorded) { each[i] = append(each[i], r) }
	}
	histories, err := s.store.Load(s.ctx(), partition, queries)
	require.NoError(s, err)
	require.Len(s, histories, len(queries))
	for i, want := range []int{40, 0, 2, 1, 3, 0, 1} {
		require.Len(s, histories[i].Events, want, "%+v", queries[i])
		require.Nil(s, histories[i].Snapshot)
		require.ElementsMatch(s, histories[i].Events, each[i])
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

func isolation(s *suite) {
	key := counter("1")
	c := s.next(key)
	c.Receipts = []store.Receipt{receipt(key, "c")}
	c.Receipts[0].Error = &store.Error{Code: "a", Message: "b"}
	s.commit(c)
	snapshots := []store.Snapshot{snapshotOf(key, 1, 1)}
	snapshots[0].Body = json.RawMessage(`{"a":1}`)
	require.NoError(s, s.store.SaveSnapshots(s.ctx(), partition, snapshots))
	spoil := func(body []byte) { body[0] = 'X' }
	spoil(c.Events[0].Body)
	spoil(snapshots[0].Body)
	c.Receipts[0].Error.Code = "X"
	for range 2 { // the first round spoils the returned values for the second
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
