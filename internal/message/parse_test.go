package message

import (
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/internal/lane"
	"github.com/maestro-es/maestro/internal/localnats"
	"github.com/maestro-es/maestro/internal/wire"
	"github.com/maestro-es/maestro/protocol"
	"github.com/maestro-es/maestro/store"
)

func TestACommandIsReadFromItsMessage(t *testing.T) {
	t.Parallel()
	body := []byte(`{"by":1}`)
	c := Parse("counter.42.increment", nil, body)
	require.Equal(t, &lane.Command{Key: store.Key{Type: "counter", ID: "42"}, Name: "increment", Body: body}, c)

	h := localnats.Header(wire.HeaderCommandID, "c-1", wire.HeaderMsgID, "m-1", wire.HeaderReturn, "events", wire.HeaderExpectSequence, "7",
		wire.HeaderDeadline, "2030-01-31T12:00:00.5Z", wire.HeaderCorrelationID, "ü 1", wire.HeaderCausationID, "k",
		wire.HeaderTraceparent, "00-a-b-01", wire.HeaderTracestate, "x=1")
	c = Parse("counter.42.increment", h, body)
	seven := int64(7)
	require.Equal(t, &lane.Command{Key: store.Key{Type: "counter", ID: "42"}, ID: "c-1", Name: "increment", Body: body,
		CorrelationID: "ü 1", CausationID: "k", Traceparent: "00-a-b-01", Tracestate: "x=1", Return: lane.ReturnEvents,
		ExpectSequence: &seven, Deadline: time.Date(2030, 1, 31, 12, 0, 0, 500_000_000, time.UTC), Header: h}, c)
}

func TestTheMessageIDStandsInForTheCommandID(t *testing.T) {
	t.Parallel()
	require.Equal(t, "m-1", Parse("counter.42.increment", localnats.Header(wire.HeaderMsgID, "m-1"), nil).ID)
	require.Empty(t, Parse("counter.42.increment", nil, nil).ID)
}

func TestABrokenTraceIsNoBrokenCommand(t *testing.T) {
	t.Parallel()
	for _, broken := range []string{"\xff", "a\nb", strings.Repeat("x", 300)} {
		c := Parse("counter.42.increment", localnats.Header(wire.HeaderTraceparent, broken, wire.HeaderTracestate, "x=1"), nil)
		require.Nil(t, c.Refusal)
		require.Empty(t, c.Traceparent+c.Tracestate)
		c = Parse("counter.42.increment", localnats.Header(wire.HeaderTraceparent, "00-a-b-01", wire.HeaderTracestate, broken), nil)
		require.Nil(t, c.Refusal)
		require.Equal(t, "00-a-b-01", c.Traceparent+c.Tracestate)
	}
}

func TestWhatCannotBeACommandIsRefusedWithAReason(t *testing.T) {
	t.Parallel()
	const good = "counter.42.increment"
	for name, c := range map[string]struct {
		address string
		header  nats.Header
		want    string
	}{
		"nothing":            {"", nil, "found 1 parts"},
		"no command":         {"counter.42", nil, "found 2 parts"},
		"a dot in the id":    {"counter.4.2.increment", nil, "found 4 parts"},
		"aggregate name":     {"Counter.42.increment", nil, `aggregate name "Counter"`},
		"no id":              {"counter..increment", nil, `aggregate id ""`},
		"id":                 {"counter.4%2.increment", nil, `aggregate id "4%2"`},
		"long id":            {"counter." + strings.Repeat("4", 129) + ".increment", nil, "1 to 128"},
		"command name":       {"counter.42.in-crement", nil, `command name "in-crement"`},
		"not UTF-8":          {"counter.\xff.increment", nil, `aggregate id "\xff"`},
		"long command id":    {good, localnats.Header(wire.HeaderCommandID, strings.Repeat("x", 257)), "has 257 bytes, at most 256"},
		"command id":         {good, localnats.Header(wire.HeaderCommandID, "a\x00b"), `header Maestro-Command-Id "a\x00b": expected UTF-8`},
		"message id":         {good, localnats.Header(wire.HeaderMsgID, "\xff"), "header Nats-Msg-Id"},
		"correlation":        {good, localnats.Header(wire.HeaderCorrelationID, "a\tb"), "header Maestro-Correlation-Id"},
		"causation":          {good, localnats.Header(wire.HeaderCausationID, "\u0085"), "header Maestro-Causation-Id"},
		"return":             {good, localnats.Header(wire.HeaderReturn, "all"), `"all": expected none, events or state`},
		"expected sequence":  {good, localnats.Header(wire.HeaderExpectSequence, "-1"), `"-1": expected a sequence`},
		"expected something": {good, localnats.Header(wire.HeaderExpectSequence, "9223372036854775808"), "expected a sequence"},
		"deadline":           {good, localnats.Header(wire.HeaderDeadline, "tomorrow"), `"tomorrow": expected an RFC 3339 time`},
		"the first mistake":  {good, localnats.Header(wire.HeaderReturn, "all", wire.HeaderDeadline, "tomorrow"), "expected none, events or state"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			parsed := Parse(c.address, c.header, nil)
			require.NotNil(t, parsed.Refusal)
			require.Equal(t, store.Failed, parsed.Refusal.Status)
			require.Equal(t, protocol.CodeMalformed, parsed.Refusal.Code)
			require.Contains(t, parsed.Refusal.Message, c.want)
		})
	}
}

// A command that is refused for a header keeps its address, so that its receipt and its outcome
// name its aggregate.
func TestARefusedCommandKeepsWhatCouldBeRead(t *testing.T) {
	t.Parallel()
	c := Parse("counter.42.increment", localnats.Header(wire.HeaderCommandID, "c-1", wire.HeaderReturn, "all"), nil)
	require.Equal(t, store.Key{Type: "counter", ID: "42"}, c.Key)
	require.Equal(t, "c-1", c.ID)
	c = Parse("counter.42", localnats.Header(wire.HeaderCommandID, "c-1"), nil)
	require.Zero(t, c.Key)
	require.Equal(t, "c-1", c.ID)
}

// storable requires that the store, the event stream and a terminal can take the value.
func storable(t *testing.T, value string) {
	t.Helper()
	require.LessOrEqual(t, len(value), 256)
	require.True(t, utf8.ValidString(value) && !strings.ContainsFunc(value, unicode.IsControl), "%q", value)
}

// Parse never panics, and every command that it does not refuse can be handled and stored.
func FuzzParse(f *testing.F) {
	f.Add("counter.42.increment", "c-1", "m-1", "none", "7", "2030-01-31T12:00:00Z", "k", "00-a-b-01", []byte(`{"by":1}`))
	f.Add("counter.42", "", "", "events", "-7", "x", "\x00", "\xff", []byte(nil))
	f.Add("...", "\n", strings.Repeat("x", 300), "state", "1e3", "2030-01-31T12:00:00+99:99", "\u2028", "", []byte("\xff"))
	f.Fuzz(func(t *testing.T, address, id, msgID, want, expect, deadline, other, trace string, body []byte) {
		c := Parse(address, localnats.Header(wire.HeaderCommandID, id, wire.HeaderMsgID, msgID, wire.HeaderReturn, want,
			wire.HeaderExpectSequence, expect, wire.HeaderDeadline, deadline, wire.HeaderCorrelationID, other,
			wire.HeaderCausationID, other, wire.HeaderTraceparent, trace, wire.HeaderTracestate, trace), body)
		for _, kept := range []string{c.ID, c.CorrelationID, c.CausationID, c.Traceparent, c.Tracestate} {
			storable(t, kept)
		}
		require.Equal(t, body, c.Body)
		if c.Key != (store.Key{}) {
			require.NoError(t, aggregate.CheckName("aggregate", c.Key.Type))
			require.NoError(t, aggregate.CheckID(c.Key.ID))
			require.NoError(t, aggregate.CheckName("command", c.Name))
		}
		if c.Refusal != nil {
			require.True(t, utf8.ValidString(c.Refusal.Message), "%q", c.Refusal.Message)
			return
		}
		require.NotZero(t, c.Key)
		require.True(t, c.ExpectSequence == nil || *c.ExpectSequence >= 0)
	})
}
