package client_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/client"
	"github.com/maestro-es/maestro/internal/localnats"
	"github.com/maestro-es/maestro/store"
)

func TestImportStoresInOrder(t *testing.T) {
	t.Parallel()
	w, c := newWorker(t, localnats.ForTest(t), client.Options{})
	s, err := c.Import(t.Context(), increments(2500), client.ImportOptions{})
	require.NoError(t, err)
	require.Equal(t, 2500, s.Commands)
	stored := w.stored(t)
	require.Equal(t, 2500, len(stored)) //nolint:testifylint // Len prints them all
	for i, h := range stored {
		require.Equal(t, fmt.Sprintf("c-%d", i+1), h.id())
		require.JSONEq(t, fmt.Sprintf(`{"by":%d}`, i+1), h.body)
		require.Len(t, h.header, 1, "the command's id alone: %v", h.header)
	}
}

func TestImportWaitsForTheOutcomes(t *testing.T) {
	t.Parallel()
	w, c := newWorker(t, localnats.ForTest(t), client.Options{})
	w.decide = func(h handled) store.Outcome {
		switch {
		case strings.HasSuffix(h.id(), "00"):
			return store.Outcome{Status: store.Rejected, Error: &store.Error{Code: "no", Message: "hundreds are not liked"}}
		case h.id() == "c-7":
			return store.Outcome{Status: store.Failed, Error: &store.Error{Code: "panic", Message: "seven"}}
		}
		return store.Outcome{Status: store.Committed}
	}
	w.run(t)
	var progress []client.Progress
	options := client.ImportOptions{Wait: true, Progress: func(p client.Progress) { progress = append(progress, p) }}
	s, err := c.Import(t.Context(), increments(2500), options)
	require.NoError(t, err)
	require.Equal(t, []int{2500, 2474, 25, 0, 1}, []int{s.Commands, s.Committed, s.Rejected, s.Duplicate, s.Failed})
	require.Len(t, s.Refused, 10)
	require.Equal(t, "c-7", s.Refused[0].CommandID)
	require.Equal(t, "hundreds are not liked", s.Refused[1].Error.Message)
	require.Equal(t, client.Progress{Stored: 2500, Answered: 2500}, progress[len(progress)-1])

	s, err = c.Import(t.Context(), increments(2500), options)
	require.NoError(t, err)
	require.Equal(t, []int{2500, 0, 0, 2500, 0}, []int{s.Commands, s.Committed, s.Rejected, s.Duplicate, s.Failed})
}

func TestSummaryIsTheContract(t *testing.T) {
	t.Parallel()
	body, err := json.Marshal(client.Summary{Commands: 6, Committed: 1, Rejected: 2, Duplicate: 3, Failed: 4, Seconds: 0.5,
		PerSecond: 12, NewIDs: 9, Refused: []store.Outcome{{}}})
	require.NoError(t, err)
	require.Equal(t, `{"commands":6,"committed":1,"rejected":2,"duplicate":3,"failed":4,"seconds":0.5,"per_second":12}`, string(body))
}

func TestImportResendsWhatIsNotAnswered(t *testing.T) {
	t.Parallel()
	w, c := newWorker(t, localnats.ForTest(t), client.Options{Resend: 500 * time.Millisecond})
	// If a worker dies between commit and answer, the answer is given later, from the receipt.
	w.answers = func(h handled, o store.Outcome) bool { return o.Duplicate || !strings.HasSuffix(h.id(), "3") }
	w.run(t)
	var last client.Progress
	s, err := c.Import(t.Context(), increments(3000), client.ImportOptions{Wait: true, Progress: func(p client.Progress) { last = p }})
	require.NoError(t, err)
	require.Equal(t, []int{3000, 2700, 300}, []int{s.Commands, s.Committed, s.Duplicate})
	require.Positive(t, last.Resent)
	requireInOrder(t, w.handledIDs(), 3000)
}

func TestImportKeepsTheNumberInFlightBounded(t *testing.T) {
	t.Parallel()
	w, c := newWorker(t, localnats.ForTest(t), client.Options{Resend: time.Minute})
	ctx, cancel := context.WithCancel(t.Context())
	s, err := c.Import(ctx, increments(100_000), client.ImportOptions{Wait: true, Progress: func(p client.Progress) {
		if p.Stored == 20_000 {
			cancel()
		}
	}})
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, 20_000, s.Commands)
	requireInOrder(t, firstOccurrences(w.stored(t)), 20_000)
}

func TestImportThatIsStoppedSaysHowFarItCame(t *testing.T) {
	t.Parallel()
	w, c := newWorker(t, localnats.ForTest(t), client.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	s, err := c.Import(ctx, increments(1<<30), client.ImportOptions{Progress: func(client.Progress) { cancel() }})
	require.ErrorIs(t, err, context.Canceled)
	require.Positive(t, s.Commands)
	stored := firstOccurrences(w.stored(t))
	require.GreaterOrEqual(t, len(stored), s.Commands, "what was on its way may be there, too")
	requireInOrder(t, stored, len(stored))
}

func TestImportCountsNewIDs(t *testing.T) {
	t.Parallel()
	w, c := newWorker(t, localnats.ForTest(t), client.Options{})
	lines := `{"aggregate":"counter","aggregate_id":"1","command":"increment"}` + "\n" +
		`{"id":"b","aggregate":"counter","aggregate_id":"1","command":"increment"}` + "\n"
	s, err := c.Import(t.Context(), client.Commands(strings.NewReader(lines)), client.ImportOptions{})
	require.NoError(t, err)
	require.Equal(t, 2, s.Commands)
	require.Equal(t, 1, s.NewIDs)
	require.NotEmpty(t, w.stored(t)[0].id())
}

func TestImportReadsPlainAndZippedLines(t *testing.T) {
	t.Parallel()
	lines := "\n" + `{"id":"a","aggregate":"counter","aggregate_id":"1","command":"increment","data":{"by": 1.50}}` + "\r\n \n" +
		`{"aggregate":"counter","aggregate_id":"2","command":"reset"}`
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, err := z.Write([]byte(lines))
	require.NoError(t, err)
	require.NoError(t, z.Close())
	for _, r := range []*bytes.Buffer{bytes.NewBufferString(lines), &zipped} {
		commands, err := collect(client.Commands(r))
		require.NoError(t, err)
		require.Len(t, commands, 2)
		require.Equal(t, "a", commands[0].ID)
		require.Equal(t, `{"by": 1.50}`, fmt.Sprintf("%s", commands[0].Data), "byte for byte")
		require.Equal(t, []string{"", "counter", "2", "reset"},
			[]string{commands[1].ID, commands[1].Aggregate, commands[1].AggregateID, commands[1].Name})
	}
	commands, err := collect(client.Commands(strings.NewReader("")))
	require.NoError(t, err)
	require.Empty(t, commands)
}

func collect(commands iter.Seq2[client.Command, error]) (all []client.Command, err error) {
	for cmd, err := range commands {
		if err != nil {
			return all, err
		}
		all = append(all, cmd)
	}
	return all, nil
}

func TestImportStopsAtABadLine(t *testing.T) {
	t.Parallel()
	const good = `{"id":"%d","aggregate":"counter","aggregate_id":"1","command":"increment","data":{"by":1}}` + "\n"
	s := localnats.ForTest(t)
	w, c := newWorker(t, s, client.Options{})
	stored := 0
	for bad, want := range map[string]string{
		`{"aggregate":"counter"`:             `line 4: unexpected EOF; expected one object a line, {"id":..`,
		`[]`:                                 `line 4: json: cannot unmarshal array`,
		`{"aggregates":"counter"}`:           `line 4: json: unknown field "aggregates"; expected`,
		`{"aggregate":"counter"} {}`:         `line 4: more than one JSON value`,
		`{"aggregate":"a.b"}`:                `line 4: invalid: aggregate name "a.b": expected a lower-case letter`,
		`{"id":"a\u0000"}`:                   `command id "a\x00": expected 1 to 256 printable`,
		strings.Replace(good, "1}", "x}", 1): `line 4: invalid character 'x'`,
		fmt.Sprintf(`{"aggregate":"counter","aggregate_id":"1","command":"increment","data":%q}`, strings.Repeat("x", 1<<20)): `line 4: invalid: message to`,
		"\x1f": `line 4: invalid character`,
	} {
		lines := "\n" + good + good + bad + "\n" + good
		sum, err := c.Import(t.Context(), client.Commands(strings.NewReader(lines)), client.ImportOptions{})
		var line *client.LineError
		require.ErrorAs(t, err, &line, bad)
		require.Equal(t, 4, line.Line)
		require.ErrorContains(t, err, want)
		require.Equal(t, 2, sum.Commands)
		stored += 2
	}
	require.Len(t, w.stored(t), stored)

	_, err := c.Import(t.Context(), client.Commands(strings.NewReader("\x1f\x8b not gzip")), client.ImportOptions{})
	require.ErrorContains(t, err, "gzip")
	_, err = c.Import(t.Context(), func(yield func(client.Command, error) bool) {
		_ = yield(increment("a"), nil) && yield(client.Command{}, nil)
	}, client.ImportOptions{})
	require.ErrorContains(t, err, "command number 2: invalid: aggregate name")
}

func requireInOrder(t *testing.T, ids []string, n int) {
	t.Helper()
	require.Equal(t, n, len(ids)) //nolint:testifylint // Len prints them all
	for i, id := range ids {
		require.Equal(t, fmt.Sprintf("c-%d", i+1), id)
	}
}
