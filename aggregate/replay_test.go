package aggregate_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/aggregate"
)

// grown is a counter whose event has had three forms: {"n":"1"}, {"n":1}, {"by":1}.
var grown = aggregate.Define("counter",
	aggregate.Handles[Increment]("increment"),
	aggregate.Emits[Incremented]("incremented", unquote, rename))

var errNotAString = errors.New("n is not a string of digits")

func unquote(body json.RawMessage) (json.RawMessage, error) {
	var old struct{ N json.Number }
	if err := json.Unmarshal(body, &old); err != nil {
		return nil, errNotAString
	}
	return fmt.Appendf(nil, `{"n":%s}`, old.N), nil
}

func rename(body json.RawMessage) (json.RawMessage, error) {
	if bytes.Contains(body, []byte("13")) {
		panic("unlucky")
	}
	return bytes.Replace(body, []byte(`"n"`), []byte(`"by"`), 1), nil
}

func incremented(sequence int64, version int, body string) aggregate.Recorded {
	return aggregate.Recorded{Sequence: sequence, Type: "incremented", Version: version, Body: json.RawMessage(body)}
}

func TestEventsOfEveryVersionAreRead(t *testing.T) {
	t.Parallel()
	c := grown.New("42")
	require.NoError(t, c.Apply(
		incremented(1, 1, `{"n":"5"}`), incremented(2, 2, `{"n":30}`), incremented(3, 3, `{"by":200}`)))
	require.Equal(t, aggregate.Root[Counter]{ID: "42", Sequence: 3, State: Counter{Total: 235}}, c.Root())

	decided, err := c.Execute("increment", []byte(`{"by":1}`), aggregate.Metadata{})
	require.NoError(t, err)
	require.Equal(t, incremented(4, 3, `{"by":1}`), decided[0].Recorded)
}

// Prepared events are decoded once. They lead to the same state as events that are not prepared,
// wherever the preparation ends.
func TestPreparedEventsAreReadOnce(t *testing.T) {
	t.Parallel()
	reads := 0
	counted := aggregate.Define("counter", aggregate.Emits[Incremented]("incremented", func(body json.RawMessage) (json.RawMessage, error) {
		reads++
		return rename(body)
	}))
	events := make([]aggregate.Recorded, 20)
	for n := range events {
		events[n] = incremented(int64(n)+1, 1, fmt.Sprintf(`{"n":%d}`, n+20))
	}
	plain := counted.New("42")
	require.NoError(t, plain.Apply(events...))
	for _, ahead := range []int{0, 1, 19, 20} {
		reads = 0
		c := counted.New("42")
		for _, e := range events[:ahead] {
			c.Prepare(e)
		}
		require.Equal(t, ahead, reads)
		require.NoError(t, c.Apply(events...))
		require.Equal(t, len(events), reads)
		require.Equal(t, plain.Root(), c.Root())
	}
}

func TestPreparationThatDoesNotFitIsIgnored(t *testing.T) {
	t.Parallel()
	one, two, three := incremented(1, 3, `{"by":1}`), incremented(2, 3, `{"by":20}`), incremented(3, 3, `{"by":300}`)
	for name, ahead := range map[string][]aggregate.Recorded{
		"out of order": {two, one, three},
		"with a gap":   {one, three},
		"twice":        {one, one, two, two, three},
		"the last":     {three},
		"beyond":       {three, incremented(4, 3, `{`)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := grown.New("42")
			for _, e := range ahead {
				c.Prepare(e)
			}
			require.NoError(t, c.Apply(one, two, three))
			require.Equal(t, Counter{Total: 321}, c.Root().(aggregate.Root[Counter]).State)
			require.NoError(t, c.Apply(incremented(4, 3, `{"by":4000}`)), "what was prepared is forgotten")
			require.Equal(t, Counter{Total: 4321}, c.Root().(aggregate.Root[Counter]).State)
		})
	}
}

func TestAnUnreadableHistoryIsRefusedWhole(t *testing.T) {
	t.Parallel()
	good := incremented(2, 3, `{"by":1}`)
	for name, c := range map[string]struct {
		bad  aggregate.Recorded
		want string
	}{
		"newer version":   {incremented(3, 4, `{}`), "version 4 was stored, this program knows 1 to 3: deploy a newer one"},
		"version 0":       {incremented(3, 0, `{}`), "version 0 was stored"},
		"failing upcast":  {incremented(3, 1, `{"n":[]}`), "upcast from version 1: n is not a string of digits"},
		"panicing upcast": {incremented(3, 2, `{"n":13}`), "replay panicked: unlucky"},
		"not JSON":        {incremented(3, 3, `{`), "unexpected end of JSON input"},
		"no body":         {incremented(3, 3, ``), "unexpected end of JSON input"},
		"wrong type":      {incremented(3, 3, `{"by":"1"}`), "cannot unmarshal string"},
		"unknown event": {aggregate.Recorded{Sequence: 3, Type: "gone", Version: 1},
			"no event of this name is defined (defined: [incremented])"},
		"gap":        {incremented(4, 3, `{"by":1}`), `expected sequence 3: events of "42" are missing or out of order`},
		"repetition": {good, "expected sequence 3"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := grown.New("42")
			require.NoError(t, i.Apply(incremented(1, 3, `{"by":7}`)))
			before := i.Root()

			err := i.Apply(good, c.bad)
			event := as[*aggregate.EventError](require.New(t), err)
			require.Equal(t, c.bad.Sequence, event.Sequence)
			require.Equal(t, c.bad.Type, event.Event)
			require.ErrorContains(t, err, c.want)
			require.Equal(t, before, i.Root())
			i.Prepare(good)
			i.Prepare(c.bad)
			require.EqualError(t, i.Apply(good, c.bad), err.Error(), "prepared or not")
			require.Equal(t, before, i.Root())
			require.NoError(t, i.Apply(good))
		})
	}
}

func TestAHistoryBeginsAtOne(t *testing.T) {
	t.Parallel()
	require.NoError(t, grown.New("42").Apply())
	require.ErrorContains(t, grown.New("42").Apply(incremented(0, 3, `{"by":1}`)), "expected sequence 1")
	require.ErrorContains(t, grown.New("42").Apply(incremented(2, 3, `{"by":1}`)), "expected sequence 1")
}

func TestAPanicInReplayNamesTheEvent(t *testing.T) {
	t.Parallel()
	err := probe.New("p").Apply(aggregate.Recorded{Sequence: 1, Type: "exploded", Version: 1, Body: json.RawMessage(`{}`)})
	require.ErrorAs(t, err, new(*aggregate.EventError))
	require.Contains(t, string(as[*aggregate.PanicError](require.New(t), err).Stack), "exploded.Evolve")
	require.EqualError(t, err, `event probe "exploded" at sequence 1: replay panicked: in Evolve`)
}

func TestEventsReadBackAsTheyWereWritten(t *testing.T) {
	t.Parallel()
	recorded, err := grown.EncodeEvent(Incremented{By: 3}, 9)
	require.NoError(t, err)
	require.Equal(t, incremented(9, 3, `{"by":3}`), recorded)
	e, err := grown.Decode(recorded)
	require.NoError(t, err)
	require.Equal(t, Incremented{By: 3}, e)
}

func TestAPanicInDecodingIsCaught(t *testing.T) {
	t.Parallel()
	_, err := grown.Decode(incremented(7, 2, `{"n":13}`))
	require.ErrorAs(t, err, new(*aggregate.PanicError))
	require.EqualError(t, err, `event counter "incremented" at sequence 7: decoding panicked: unlucky`)
}
