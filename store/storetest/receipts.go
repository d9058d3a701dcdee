package storetest

import (
	"encoding/json"

	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/store"
)

func (s *suite) receiptsOf(key store.Key, commands ...string) (receipts []store.Receipt) {
	s.Helper()
	var keys []store.CommandKey
	for _, command := range commands {
		keys = append(keys, store.CommandKey{Key: key, CommandID: command})
	}
	found, err := s.store.Receipts(s.ctx(), partition, keys)
	require.NoError(s, err)
	for _, key := range keys {
		if r, ok := found[key]; ok {
			receipts = append(receipts, r)
		}
	}
	return receipts
}

func receipts(s *suite) {
	committed, rejected := receipt(counter("1"), "c-1"), receipt(counter("1"), "c-2")
	committed.Sequence, committed.Position, committed.Events = 5, 7, 3
	rejected.Status, rejected.Events = store.Rejected, 0
	rejected.Error = &store.Error{Code: "insufficient_funds", Message: "\"1\" < 2, ü 😀\x00",
		Details: json.RawMessage(`{"b":1.50,"a":"<>\u0000 ü","a":[null]}`)}
	failed := receipt(counter("2"), "c-1")
	failed.Status, failed.Error = store.Failed, &store.Error{Code: "panic", Message: "line 1\nline 2"}
	otherType := receipt(store.Key{Type: "account", ID: "1"}, "c-1")
	all := []store.Receipt{committed, rejected, failed, otherType}
	c := s.next()
	c.Receipts = all
	s.commit(c)

	ask := []store.CommandKey{{Key: counter("1"), CommandID: "missing"}, {Key: counter("missing"), CommandID: "c-1"},
		{Key: counter("2"), CommandID: "c-2"}, committed.Key()}
	for _, r := range all {
		ask = append(ask, r.Key())
	}
	found, err := s.store.Receipts(s.ctx(), partition, ask)
	require.NoError(s, err)
	require.Len(s, found, len(all))
	for _, r := range all {
		require.Equal(s, r, found[r.Key()])
	}
	elsewhere, err := s.store.Receipts(s.ctx(), partition+1, ask)
	require.NoError(s, err)
	require.Empty(s, elsewhere)
}

func duplicate(s *suite) {
	first := s.next(counter("1"))
	first.Receipts = []store.Receipt{receipt(counter("1"), "c")}
	s.commit(first)

	again := s.next(counter("2"), counter("1"))
	again.Receipts = []store.Receipt{receipt(counter("2"), "c"), receipt(counter("1"), "c")}
	again.Cursor.Sequence = 9
	s.refused(again, store.ErrDuplicate)
	require.Empty(s, s.receiptsOf(counter("2"), "c"))

	twice := s.next()
	twice.Receipts = []store.Receipt{receipt(counter("3"), "c"), receipt(counter("3"), "c")}
	s.refused(twice, store.ErrDuplicate)
	require.Empty(s, s.receiptsOf(counter("3"), "c"))

	sameIDElsewhere := s.next(counter("2"))
	sameIDElsewhere.Receipts = []store.Receipt{receipt(counter("2"), "c")}
	s.commit(sameIDElsewhere)
}
