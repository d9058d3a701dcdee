package tests

import (
	"cmp"
	"encoding/json"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/client"
	"github.com/maestro-es/maestro/internal/wire"
	"github.com/maestro-es/maestro/store"
)

// bad is a command that cannot take effect.
type bad struct {
	subject string // by default the subject of the command add on an aggregate of the case's own
	command string
	body    string
	headers []string
	// status is the expected status, failed if empty. code and message are what the client is told;
	// message is a part of the text. number is the micro service's status.
	status                store.Status
	code, number, message string
}

var badCommands = map[string]bad{
	"no JSON":              {body: `{"n":`, code: "invalid_payload", number: "400", message: "payload of trouble add: not valid JSON: unexpected end"},
	"no object":            {body: `[1]`, code: "invalid_payload", number: "400", message: "expected an object, got a JSON array"},
	"wrong type":           {body: `{"n":"one"}`, code: "invalid_payload", number: "400", message: "field n: expected a whole number (int), got a JSON string"},
	"not UTF-8":            {command: "note", body: "{\"text\":\"\xff\"}", code: "invalid_payload", number: "400", message: "it must be valid UTF-8"},
	"unknown aggregate":    {subject: "ghost.1.add", code: "unknown_aggregate", number: "404", message: `no aggregate type "ghost" is defined here; there are: trouble`},
	"unknown command":      {command: "ad", code: "unknown_command", number: "404", message: `aggregate "trouble" has no command "ad"; it has: add`},
	"upper-case type":      {subject: "Trouble.1.add", code: "malformed", number: "400", message: `aggregate name "Trouble": expected a lower-case letter`},
	"upper-case command":   {command: "Add", code: "malformed", number: "400", message: `command name "Add": expected a lower-case letter`},
	"over-long id":         {subject: "trouble." + strings.Repeat("x", 129) + ".add", code: "malformed", number: "400", message: "expected 1 to 128 of"},
	"id with a slash":      {subject: "trouble.a/b.add", code: "malformed", number: "400", message: `aggregate id "a/b"`},
	"handler panics":       {command: "panics", code: "panic", number: "500", message: "command trouble panics panicked: runtime error"},
	"handler fails":        {command: "fails", code: "handler_failed", number: "500", message: "the disk of the tax office is full"},
	"event without a name": {command: "forget", code: "unregistered_event", number: "500", message: `add aggregate.Emits[tests.forgotten]("name") to the definition of "trouble"`},
	"nil event":            {command: "empty", code: "unregistered_event", number: "500", message: "returned a nil event"},
	"event that panics":    {command: "explode", code: "panic", number: "500", message: "no such state"},
	"NUL character":        {command: "note", body: `{"text":"a\u0000b"}`, status: store.Committed},
	"null":                 {body: `null`, code: "invalid_payload", number: "400", message: "expected an object, got a JSON null"},
	"lone surrogate":       {command: "carry", body: `{"what":"\ud800"}`, code: "invalid_payload", number: "400", message: "half of a surrogate pair"},
	"too large an event":   {command: "grow", body: `{"bytes":1050000}`, code: "too_large", number: "400", message: "event noted has 1050011 bytes, at most"},
	"deadline in the past": {headers: []string{"Maestro-Deadline", "2020-01-01T00:00:00Z"}, code: "deadline_exceeded", number: "408", message: "deadline 2020-01-01T00:00:00Z had passed"},
	"wrong sequence":       {headers: []string{"Maestro-Expect-Sequence", "7"}, status: store.Rejected, code: "sequence_mismatch", number: "409", message: "at sequence 7, it is at 1"},
	"no deadline":          {headers: []string{"Maestro-Deadline", "tomorrow"}, code: "malformed", number: "400", message: `header Maestro-Deadline "tomorrow": expected an RFC 3339 time`},
	"no sequence":          {headers: []string{"Maestro-Expect-Sequence", "-1"}, code: "malformed", number: "400", message: `header Maestro-Expect-Sequence "-1": expected a sequence`},
	"nothing to return":    {headers: []string{"Maestro-Return", "all"}, code: "malformed", number: "400", message: `header Maestro-Return "all": expected none, events or state`},
	"over-long command id": {headers: []string{"Maestro-Command-Id", strings.Repeat("x", 257)}, code: "malformed", number: "400", message: "header Maestro-Command-Id has 257 bytes, at most 256"},
	"control character":    {headers: []string{"Maestro-Correlation-Id", "a\x01b"}, code: "malformed", number: "400", message: `header Maestro-Correlation-Id "a\x01b": expected UTF-8 without control characters`},
}

// Each bad command gets its answer. If it failed on the durable stream, it also leaves a dead
// letter. The next commands of the same aggregate and partition go on.
func TestBadCommandsAreAnsweredAndHoldUpNobody(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.run(troubles)
	n := 0
	for name, b := range badCommands {
		for _, durable := range []bool{true, false} {
			n++
			id := string(rune('a'+n%26)) + string(rune('a'+n/26))
			way := "request"
			if durable {
				way = "durable"
			}
			require.True(t, t.Run(name+"/"+way, func(t *testing.T) { s.with(t).bad(b, id, durable) }))
		}
	}
	s.checkGapless(s.readLog())
	s.check()
}

// with returns the system for a part of the test.
func (s *system) with(t *testing.T) *system {
	part := *s
	part.T = t
	return &part
}

func (s *system) bad(b bad, id string, durable bool) {
	add := func() answer { return s.ask("do.trouble."+id+".add", `{"n":1}`) }
	require.EqualValues(s, 1, s.committed(add()))
	if b.subject == "" {
		b.subject = "trouble." + id + "." + cmp.Or(b.command, "add")
	}
	letters := query[int](s, "select count(*)::int from "+s.table("dead_letters"))
	var a answer
	if durable {
		a = s.send(b.subject, b.body, b.headers...)
	} else {
		a = s.ask("do."+b.subject, b.body, b.headers...)
	}
	if b.status == store.Committed {
		require.EqualValues(s, 2, s.committed(a))
		return
	}
	s.refused(a, cmp.Or(b.status, store.Failed), b.code, b.number)
	require.Contains(s, a.Error.Message, b.message)
	if durable && b.status == "" {
		s.isDeadLetter(b, a)
		letters++
	}
	require.Equal(s, letters, query[int](s, "select count(*)::int from "+s.table("dead_letters")))
	require.EqualValues(s, 2, s.committed(add()), "the next command of the same aggregate goes on")
	require.EqualValues(s, 3, s.committed(s.send("trouble."+id+".add", `{"n":1}`)), "and so does the partition's stream")
}

// isDeadLetter checks that the last dead letter is the command as it came, with the answer that its
// client got.
func (s *system) isDeadLetter(b bad, a answer) {
	s.Helper()
	var partition int
	var subject, code, message, id string
	var body []byte
	var headers nats.Header
	err := s.pool.QueryRow(s.Context(), `select partition, subject, headers, body, code, message, command_id from `+
		s.table("dead_letters")+` order by id desc limit 1`).Scan(&partition, &subject, &headers, &body, &code, &message, &id)
	require.NoError(s, err)
	require.True(s, strings.HasSuffix(subject, "."+b.subject), subject)
	require.Equal(s, b.body, string(body))
	require.Equal(s, []string{a.Error.Code, a.Error.Message, a.CommandID}, []string{code, message, id})
	for i := 0; i < len(b.headers); i += 2 {
		require.Equal(s, strings.ReplaceAll(b.headers[i+1], "\x01", "\uFFFD"), headers.Get(b.headers[i]))
	}
	tokens := strings.Split(b.subject, ".")
	require.Equal(s, wire.Partition(tokens[0], tokens[1], s.partitions), partition)
}

// A command on a subject that no stream takes still gets an answer.
func TestMisaddressedCommandsAreAnswered(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.run(troubles)
	for _, subject := range []string{"cmd.trouble.a.b.add", "cmd.3.trouble.1.add", "cmd.trouble.1", "cmd.trouble.a.b.c.d.e.add"} {
		_, err := s.js.PublishMsg(s.Context(), s.message(subject, `{"n":1}`, nil))
		var refused *jetstream.APIError
		require.ErrorAs(t, err, &refused, subject)
		require.Contains(t, refused.Description, "expected "+string(s.namespace)+".cmd.<aggregate type>.<aggregate id>.<command>, an id has no dots")
	}
	for subject, message := range map[string]string{
		"do.trouble.a.b.add": "expected <aggregate type>.<aggregate id>.<command>, found 4 parts",
		"do.trouble.1":       "expected <aggregate type>.<aggregate id>.<command>, found 2 parts",
	} {
		a := s.ask(subject, `{"n":1}`)
		s.refused(a, store.Failed, "malformed", "400")
		require.Contains(t, a.Error.Message, message)
	}
	for subject, code := range map[string]string{"get.trouble": "malformed", "get.trouble.a.b": "malformed", "get.ghost.1": "unknown_aggregate",
		"history.ghost.1": "unknown_aggregate", "history.trouble.a/b": "malformed"} {
		require.Equal(t, code, s.ask(subject, "").Error.Code, subject)
	}
	require.Equal(t, "malformed", s.ask("get.trouble.1", "", "Maestro-Sequence", "last").Error.Code)
	require.Equal(t, "malformed", s.ask("get.trouble.1", "", "Maestro-Consistency", "strong").Error.Code)
	require.Equal(t, "malformed", s.ask("history.trouble.1", "", "Maestro-After", "x").Error.Code)
	require.Zero(t, s.events())
}

// A command with an empty token never reaches a worker, because the server accepts no subject with
// an empty token.
func TestAnEmptyIDIsRefusedBeforeItIsSent(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.run(troubles)
	_, err := s.nats.RequestMsgWithContext(s.Context(), s.message("do.trouble..add", `{"n":1}`, nil))
	require.Error(t, err)
	_, err = s.js.PublishMsg(s.Context(), s.message("cmd.trouble..add", `{"n":1}`, nil), jetstream.WithRetryAttempts(0))
	require.Error(t, err)
	_, err = s.Send(s.Context(), client.Command{Aggregate: "trouble", AggregateID: "", Name: "add"})
	require.ErrorIs(t, err, client.ErrInvalid)
	require.Zero(t, s.handled())
}

func TestWhatIsTooLargeIsSaidSo(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.run(troubles)
	large := strings.Repeat("x", 1<<20+1)
	_, err := s.js.PublishMsg(s.Context(), s.message("cmd.trouble.1.note", large, nil))
	require.ErrorIs(t, err, nats.ErrMaxPayload)
	command := client.Command{Aggregate: "trouble", AggregateID: "1", Name: "note", Data: json.RawMessage(`{"text":"` + large + `"}`)}
	_, err = s.Send(s.Context(), command)
	require.ErrorIs(t, err, client.ErrInvalid)
	require.ErrorContains(t, err, "the server's limit (max_payload) is 1048576")
	_, err = s.Request(s.Context(), command)
	require.ErrorIs(t, err, client.ErrInvalid)

	for range 3 { // each event fits, and so does the command; the state is the sum of them
		s.committed(s.ask("do.trouble.1.grow", `{"bytes":500000}`))
	}
	a := s.ask("do.trouble.1.add", `{"n":1}`, "Maestro-Return", "state")
	require.EqualValues(t, 4, s.committed(a))
	require.Equal(t, "outcome_too_large", a.Error.Code)
	require.Equal(t, "too_large", s.ask("get.trouble.1", "").Error.Code)
	events := 0
	for _, err := range s.History(s.Context(), "trouble", "1", 0) {
		require.NoError(t, err)
		events++
	}
	require.Equal(t, 4, events)
	s.check()
}
