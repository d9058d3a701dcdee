package aggregate_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/aggregate"
)

// execute runs the probe's command.
func execute(i aggregate.Instance, what string) ([]aggregate.Decided, error) {
	body, err := json.Marshal(do{What: what})
	if err != nil {
		return nil, err
	}
	return i.Execute("do", body, aggregate.Metadata{ID: "c", Time: time.Unix(1, 0).UTC()})
}

// begun returns a probe with one event.
func begun(t *testing.T) aggregate.Instance {
	t.Helper()
	i := probe.New("p")
	_, err := execute(i, "begin")
	require.NoError(t, err)
	return i
}

func TestAfterAnErrorNothingHasChanged(t *testing.T) {
	t.Parallel()
	for what, check := range map[string]func(*require.Assertions, error){
		"reject": func(is *require.Assertions, err error) {
			is.Equal(&aggregate.Rejection{Code: "not_now", Message: "p is at 1"}, err)
			is.EqualError(err, "not_now: p is at 1")
		},
		"fail": func(is *require.Assertions, err error) { is.ErrorIs(err, errOwn) },
		"panic": func(is *require.Assertions, err error) {
			is.Contains(string(as[*aggregate.PanicError](is, err).Stack), "do.Decide")
			is.EqualError(err, "command probe do panicked: in Decide")
		},
		"explode": func(is *require.Assertions, err error) {
			is.Contains(string(as[*aggregate.PanicError](is, err).Stack), "exploded.Evolve")
			is.EqualError(err, "command probe do panicked: in Evolve")
		},
		"stranger": func(is *require.Assertions, err error) {
			as[*aggregate.UnregisteredEventError](is, err)
			is.ErrorContains(err, `add aggregate.Emits[aggregate_test.stranger]("name") to the definition of "probe"`)
		},
		"pointer": func(is *require.Assertions, err error) {
			as[*aggregate.UnregisteredEventError](is, err)
			is.ErrorContains(err, "return the value, aggregate_test.happened, not a pointer")
		},
		"nil": func(is *require.Assertions, err error) {
			as[*aggregate.UnregisteredEventError](is, err)
			is.EqualError(err, `a command of "probe" returned a nil event`)
		},
		"unwritable": func(is *require.Assertions, err error) {
			event := as[*aggregate.EventError](is, err)
			is.Equal("unwritable", event.Event)
			is.EqualValues(3, event.Sequence)
			as[*json.UnsupportedTypeError](is, err)
		},
		"unreadable": func(is *require.Assertions, err error) {
			as[*aggregate.EventError](is, err)
			is.ErrorIs(err, errOwn)
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			i := begun(t)
			before := i.Root()
			decided, err := execute(i, what)
			require.Empty(t, decided)
			check(require.New(t), err)
			require.Equal(t, before, i.Root())

			_, err = execute(i, "go on")
			require.NoError(t, err)
			require.EqualValues(t, 2, i.Sequence())
		})
	}
}

// as returns the error of type E in the chain of err.
func as[E error](is *require.Assertions, err error) (e E) {
	is.ErrorAs(err, &e)
	return e
}

func TestAnUnknownCommandNamesTheKnownOnes(t *testing.T) {
	t.Parallel()
	_, err := counter.New("42").Execute("explode", nil, aggregate.Metadata{})
	require.ErrorAs(t, err, new(*aggregate.UnknownCommandError))
	require.EqualError(t, err, `aggregate "counter" has no command "explode"; it has: increment`)
}

type typed struct {
	Count  int8           `json:"count"`
	Size   uint16         `json:"size"`
	Ratio  float64        `json:"ratio"`
	Yes    bool           `json:"yes"`
	Name   string         `json:"name"`
	List   []string       `json:"list"`
	Table  map[string]int `json:"table"`
	Nested struct {
		Inner int `json:"inner"`
	} `json:"nested"`
	At time.Time `json:"at"`
}

func (typed) Decide(aggregate.Root[Counter]) ([]aggregate.Event[Counter], error) { return nil, nil }

func TestAWrongPayloadIsToldInTheWordsOfJSON(t *testing.T) {
	t.Parallel()
	d := aggregate.Define("counter", aggregate.Handles[typed]("typed"))
	for body, want := range map[string]string{
		`{"count":"x"}`:              "field count: expected a whole number (int8), got a JSON string",
		`{"count":1.5}`:              "field count: expected a whole number (int8), got a JSON number 1.5",
		`{"count":300}`:              "field count: expected a whole number (int8), got a JSON number 300",
		`{"size":-1}`:                "field size: expected a whole number from 0 (uint16), got a JSON number -1",
		`{"ratio":true}`:             "field ratio: expected a number, got a JSON bool",
		`{"yes":1}`:                  "field yes: expected true or false, got a JSON number",
		`{"name":{}}`:                "field name: expected a string, got a JSON object",
		`{"list":"a"}`:               "field list: expected an array, got a JSON string",
		`{"table":[]}`:               "field table: expected an object, got a JSON array",
		`{"nested":{"inner":"x"}}`:   "field nested.inner: expected a whole number (int), got a JSON string",
		`{"at":"yesterday"}`:         `parsing time "yesterday"`,
		`[]`:                         "the value: expected an object, got a JSON array",
		`"text"`:                     "the value: expected an object, got a JSON string",
		`{"count":1`:                 "not valid JSON: unexpected end of JSON input",
		`{"count":1} and more`:       "not valid JSON: invalid character 'a' after top-level value",
		`{"count":1}{"count":2}`:     "not valid JSON: invalid character '{' after top-level value",
		`count=1`:                    "not valid JSON: invalid character 'c'",
		" ":                          "not valid JSON",
		"\x00":                       "not valid JSON",
		"{\"name\":\"\x01\"}":        "not valid JSON: invalid character '\\x01' in string literal",
		`{"nested":{"inner":1},"x"}`: "not valid JSON: invalid character '}' after object key",
	} {
		_, err := d.New("42").Execute("typed", []byte(body), aggregate.Metadata{})
		require.ErrorAs(t, err, new(*aggregate.PayloadError))
		require.ErrorContains(t, err, "payload of counter typed: ", body)
		require.ErrorContains(t, err, want, body)
	}
}

func TestAnEmptyPayloadIsAnEmptyObject(t *testing.T) {
	t.Parallel()
	for _, body := range [][]byte{nil, {}, []byte(`{}`), []byte(`{"unknown":"fields are left alone"}`)} {
		_, err := counter.New("42").Execute("increment", body, aggregate.Metadata{})
		require.ErrorContains(t, err, "invalid_amount", "%s", body)
		require.ErrorAs(t, err, new(*aggregate.Rejection))
	}
}

func TestACommandWithoutEventsChangesNothing(t *testing.T) {
	t.Parallel()
	i := begun(t)
	before := i.Root()
	decided, err := execute(i, "nothing")
	require.NoError(t, err)
	require.Empty(t, decided)
	require.Equal(t, before, i.Root())
}

func TestSeveralEventsKeepTheirOrder(t *testing.T) {
	t.Parallel()
	i := begun(t)
	decided, err := execute(i, "several")
	require.NoError(t, err)
	require.Len(t, decided, 3)
	for n, want := range []string{"first", "second", "third"} {
		require.EqualValues(t, n+2, decided[n].Sequence)
		require.Equal(t, "happened", decided[n].Type)
		require.Equal(t, 1, decided[n].Version)
		require.Equal(t, want, decided[n].Value.(happened).What)
		require.Equal(t, want, i.Root().(aggregate.Root[trace]).State.Steps[n+1].What)
	}
	require.EqualValues(t, 4, i.Sequence())
}

func TestDecideSeesTheCommandsMetadata(t *testing.T) {
	t.Parallel()
	i := begun(t)
	require.Equal(t, time.Unix(1, 0).UTC(), i.Root().(aggregate.Root[trace]).State.Steps[0].At)
	require.Zero(t, i.Root().(aggregate.Root[trace]).Command, "a reader sees no command")
}

// Two things do not survive storage: the wall clock's monotonic reading, and a field that JSON
// leaves out. They must be gone at once, not only after the next replay.
func TestTheStateIsWhatAReplayGives(t *testing.T) {
	t.Parallel()
	i := probe.New("p")
	decided, err := execute(i, "clock")
	require.NoError(t, err)

	replayed := probe.New("p")
	require.NoError(t, replayed.Apply(decided[0].Recorded))
	require.Equal(t, replayed.Root(), i.Root())
	require.Empty(t, i.Root().(aggregate.Root[trace]).State.hidden)

	read, err := probe.Decode(decided[0].Recorded)
	require.NoError(t, err)
	require.Equal(t, read, decided[0].Value)
}

type loud struct{ Total int }

func (loud) MarshalJSON() ([]byte, error) { panic("in MarshalJSON") }

type noop struct{}

func (noop) Decide(aggregate.Root[loud]) ([]aggregate.Event[loud], error) { return nil, nil }

func TestAPanicInTheStatesJSONIsCaught(t *testing.T) {
	t.Parallel()
	i := aggregate.Define("loud", aggregate.Handles[noop]("noop")).New("1")
	_, err := i.State()
	require.ErrorAs(t, err, new(*aggregate.PanicError))
	require.ErrorContains(t, err, "state of loud 1 panicked: in MarshalJSON")
	_, err = i.Snapshot()
	require.ErrorAs(t, err, new(*aggregate.PanicError))
	require.ErrorContains(t, err, "snapshot of loud 1 panicked")
}

func TestClonesAreIndependent(t *testing.T) {
	t.Parallel()
	original := begun(t)
	clone := original.Clone()
	require.Equal(t, original.Root(), clone.Root())
	for i, instance := range []aggregate.Instance{original, clone} {
		_, err := execute(instance, []string{"left", "right"}[i])
		require.NoError(t, err)
	}
	require.Equal(t, "left", original.Root().(aggregate.Root[trace]).State.Steps[1].What)
	require.Equal(t, "right", clone.Root().(aggregate.Root[trace]).State.Steps[1].What)
}
