package lane_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/internal/lane"
	"github.com/maestro-es/maestro/protocol"
	"github.com/maestro-es/maestro/store"
)

// poison returns a command whose event cannot be stored, because its metadata has a NUL character.
// Real messages with a NUL character never reach a lane.
func poison(id, command string) *lane.Command {
	return &lane.Command{Key: key(id), ID: command, Name: "add", Body: body(Add{By: 1}), CorrelationID: "a\x00b"}
}

func TestDataThatCannotBeStoredRefusesItsOwnCommandAlone(t *testing.T) {
	for name, bad := range map[string][]int{"one in the middle": {17}, "the first": {0}, "the last": {39}, "several": {3, 4, 20, 38},
		"half": {1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31, 33, 35, 37, 39}} {
		t.Run(name, func(t *testing.T) {
			eachStore(t, func(t *testing.T, s store.Store) {
				r := newRig(t, s).run()
				var commands []*lane.Command
				want := make([]string, 40)
				for i := range want {
					commands, want[i] = append(commands, add(fmt.Sprint(i%3), fmt.Sprint(i), 1)), "committed"
				}
				for _, i := range bad {
					commands[i], want[i] = poison(fmt.Sprint(i%3), fmt.Sprint(i)), "failed invalid_event"
				}
				results := r.batch(commands...)
				require.Equal(t, want, statuses(results))
				require.Contains(t, results[bad[0]].Outcome.Error.Message, "NUL")
				var data *store.DataError
				require.ErrorAs(t, results[bad[0]].Err, &data)
				require.Len(t, r.log(), 40-len(bad))
				sequences := map[string]int64{}
				for i, result := range results {
					id := fmt.Sprint(i % 3)
					if want[i] == "committed" {
						sequences[id]++
					}
					require.Equal(t, sequences[id], result.Outcome.Sequence)
				}
				require.Equal(t, "failed invalid_event again", status(r.one(commands[bad[0]]).Outcome))
			})
		})
	}
}

func TestWhatARefusalQuotesCanBeStored(t *testing.T) {
	eachStore(t, func(t *testing.T, s store.Store) {
		r := newRig(t, s).run()
		say := func(command, what, why string) *lane.Command {
			return &lane.Command{Key: key("a"), ID: command, Name: "do", Body: body(Do{What: what, Why: why})}
		}
		long := string(make([]byte, 1<<20))
		results := r.batch(at(1, say("1", "reject", "a\x00b\x1bc")), at(2, say("2", "fail", "a\x00b")), at(3, say("3", "panic", "\x00")),
			at(4, say("4", "fail", long)), at(5, &lane.Command{Key: key("a"), ID: "5", Name: "sub\x00tract"}))
		require.Equal(t, []string{"rejected forbidden", "failed handler_failed", "failed panic", "failed handler_failed",
			"failed unknown_command"}, statuses(results))
		require.Equal(t, "a\uFFFDb\uFFFDc", results[0].Outcome.Error.Message)
		require.Equal(t, "broken: a\uFFFDb", results[1].Outcome.Error.Message)
		require.Less(t, len(results[3].Outcome.Error.Message), 16<<10)
		var rejection *aggregate.Rejection
		require.ErrorAs(t, results[0].Err, &rejection)
		require.Equal(t, "a\x00b\x1bc", rejection.Message, "in the program it is as it was")
	})
}

// The details of a rejection are in its outcome, and in every answer that repeats the outcome.
func TestARejectionHasDetails(t *testing.T) {
	eachStore(t, func(t *testing.T, s store.Store) {
		r := newRig(t, s).run()
		with := func(command, details string) *lane.Command {
			return &lane.Command{Key: key("a"), ID: command, Name: "do", Body: body(Do{What: "reject with", Why: details})}
		}
		const details = `{"b": 1.50, "a": "<>\u0000 ü"}`
		first := r.one(with("1", details))
		require.Equal(t, &store.Error{Code: "forbidden", Details: json.RawMessage(`{"b":1.50,"a":"<>\u0000 ü"}`)}, first.Outcome.Error)
		again := r.one(with("1", ""))
		r = newRig(t, s).run()
		for _, again := range []lane.Result{again, r.one(with("1", ""))} {
			require.True(t, again.Outcome.Duplicate)
			require.Equal(t, first.Outcome.Error, again.Outcome.Error)
		}
		results := r.batch(with("2", `{"a":`), with("3", `"`+strings.Repeat("a", 64<<10)+`"`), add("a", "4", 1))
		require.Equal(t, []string{"failed handler_failed", "failed handler_failed", "committed"}, statuses(results))
		require.Contains(t, results[0].Outcome.Error.Message, `the details of rejection "forbidden" are not JSON`)
		require.Contains(t, results[1].Outcome.Error.Message, "have 65538 bytes, at most 65536 are allowed")
	})
}

// deadLetter is a row of the dead letters' table.
type deadLetter struct {
	Subject   string
	Headers   map[string][]string
	Body      []byte
	Sequence  int64 `db:"stream_sequence"`
	CommandID string
	Code      string
	Message   string
}

func TestFailedDurableCommandsAreKeptAsDeadLetters(t *testing.T) {
	t.Parallel()
	s, pool := postgres(t)
	r := newRig(t, s).run()
	malformed := at(5, &lane.Command{Refusal: lane.Fail(protocol.CodeMalformed, "not \x00 understood"), ID: "5", Body: []byte("\x00\xff")})
	malformed.Subject, malformed.Header = "maestro.cmd.0.\xff\x01.x", map[string][]string{"X\x00": {"a\x01", "\xff"}, "Fine": {"1"}}
	results := r.batch(do("a", "1", "fail"), at(2, do("a", "2", "reject")), at(3, do("a", "3", "fail")), at(4, add("a", "4", 1)),
		malformed, at(6, poison("a", "6")))
	require.Equal(t, []string{"failed handler_failed", "rejected forbidden", "failed handler_failed", "committed", "failed malformed",
		"failed invalid_event"}, statuses(results))

	rows, err := pool.Query(t.Context(), `select subject, headers, body, stream_sequence, command_id, code, message
		from maestro.dead_letters order by stream_sequence`)
	require.NoError(t, err)
	letters, err := pgx.CollectRows(rows, pgx.RowToStructByName[deadLetter])
	require.NoError(t, err)
	require.Len(t, letters, 3)
	require.Equal(t, deadLetter{Subject: "maestro.cmd.0.tally.a.do", Headers: map[string][]string{}, Body: body(Do{"fail", "because"}),
		Sequence: 3, CommandID: "3", Code: protocol.CodeHandlerFailed, Message: "broken: because"}, letters[0])
	require.Equal(t, deadLetter{Subject: "maestro.cmd.0.\uFFFD\uFFFD.x",
		Headers: map[string][]string{"X\uFFFD": {"a\uFFFD", "\uFFFD"}, "Fine": {"1"}}, Body: []byte("\x00\xff"),
		Sequence: 5, CommandID: "5", Code: protocol.CodeMalformed, Message: "not \uFFFD understood"}, letters[1])
	require.Equal(t, poison("a", "6").Body, letters[2].Body)
	require.EqualValues(t, 6, r.row().Cursor.Sequence)
}
