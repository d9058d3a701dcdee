package storetest

import (
	"encoding/json"
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/store"
)

// oddBodies are texts that jsonb would change or refuse, and texts that are no JSON.
var oddBodies = []string{
	`{}`, `[]`, `null`, `true`, `0`, `""`, ` { "b" : [1, 2.50, -3e10, 123456789012345678901234567890] , "a" : { } } `,
	`"quotes \" \\ and \n controls, ü 😀 \ud83d\ude00 \u0001"`, `{"text": "{\"a\",NULL}"}`, `{"unlike a NUL": "\\u0000"}`,
	`{"z":1,"a":1e2,"a":2,"b":1.0,"zero":-0,"small":1E-7}`, `{"\u0000":"a\u0000b"}`, `"\ud800"`, `"\udc00\ud800"`, `"\ud800\ud800\udc00"`,
	`1e131071`, `1e-131071`, `-1e99999999999999999999`, `0.` + strings.Repeat("1", 20_000), strings.Repeat("7", 140_000),
	"[" + strings.Repeat("1e131071,", 9_000) + "1]", "[" + strings.Repeat("1,", 500_000) + "1]",
	strings.Repeat("[", 9_999) + strings.Repeat("]", 9_999), strings.Repeat("[", 100_000),
	strings.Repeat(`{"a":`, 5_000) + "1" + strings.Repeat("}", 5_000),
	`{`, ``, "\x00\xff", "\"\xff\"", `\xdeadbeef`, "<&>\u2028", strings.Repeat("<", 180_000),
}

// bodies checks that bodies come back byte for byte as they were stored.
func bodies(s *suite) {
	key := counter("1")
	for i, body := range oddBodies {
		c := s.next(key)
		c.Events[0].Body = json.RawMessage(body)
		s.commit(c)
		require.NoError(s, s.store.SaveSnapshots(s.ctx(), partition, []store.Snapshot{{Aggregate: key,
			Snapshot: aggregate.Snapshot{Sequence: int64(i) + 1, Version: 1, Body: json.RawMessage(body)}}}))
		sameBody(s, body, s.snapshot(store.Query{Key: key, SnapshotVersion: 1}).Body)
	}
	log, history := s.log(), s.history(store.Query{Key: key}).Events
	events, err := s.store.Events(s.ctx(), partition, key, 0, len(oddBodies))
	require.NoError(s, err)
	for i, body := range oddBodies {
		sameBody(s, body, log[i].Body)
		sameBody(s, body, history[i].Body)
		sameBody(s, body, events[i].Body)
	}
}

func sameBody(s *suite, want string, got []byte) {
	s.Helper()
	require.True(s, want == string(got), "%.60q became %.60q", want, got) //nolint:testifylint // its message would be as long as the body
}
