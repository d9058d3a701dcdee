package aggregate_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/aggregate"
)

// Note is a state, and the content of its commands and events.
type Note struct {
	Text  string          `json:"text,omitempty"`
	Raw   json.RawMessage `json:"raw,omitempty"`
	Ratio float64         `json:"ratio"`
}

type Take Note

func (c Take) Decide(aggregate.Root[Note]) ([]aggregate.Event[Note], error) {
	if c.Text == "minus zero" {
		c.Ratio = math.Copysign(0, -1)
	}
	return []aggregate.Event[Note]{Taken(c)}, nil
}

// Spoil is a command that leads to an event with bad content.
type Spoil struct{ Hex []byte }

func (c Spoil) Decide(aggregate.Root[Note]) ([]aggregate.Event[Note], error) {
	return []aggregate.Event[Note]{Taken{Raw: c.Hex}}, nil
}

type Taken Note

func (e Taken) Evolve(Note) Note { return Note(e) }

func define(options ...aggregate.Option[Note]) *aggregate.Definition[Note] {
	return aggregate.Define("note", append(options, aggregate.Handles[Take]("take"), aggregate.Handles[Spoil]("spoil"),
		aggregate.Emits[Taken]("taken"))...)
}

// The state in memory equals that after a replay and that after a snapshot, whatever numbers and
// texts it has.
func TestNumbersAndTextsStayAsTheyAre(t *testing.T) {
	t.Parallel()
	note := define()
	for body, want := range map[string]string{
		`{"raw":{"a":1e2,"a":2,"b":1.0}}`:         `{"raw":{"a":1e2,"a":2,"b":1.0},"ratio":0}`,
		`{"raw": { "z" : -0 , "a" : 1e131071 } }`: `{"raw":{"z":-0,"a":1e131071},"ratio":0}`,
		`{"text":"minus zero"}`:                   `{"text":"minus zero","ratio":-0}`,
		`{"text":"<a href='x'>&</a>"}`:            `{"text":"<a href='x'>&</a>","ratio":0}`,
		`{"raw":"<\u0000\ud83d\ude00\\ud800"}`:    `{"raw":"<\u0000\ud83d\ude00\\ud800","ratio":0}`,
		`{"text":"a\u0000b"}`:                     `{"text":"a\u0000b","ratio":0}`,
	} {
		i := note.New("1")
		decided, err := i.Execute("take", []byte(body), aggregate.Metadata{})
		require.NoError(t, err, body)
		require.Equal(t, want, string(decided[0].Body))
		state, err := i.State()
		require.NoError(t, err)
		require.Equal(t, want, string(state))

		replayed, restored := note.New("1"), note.New("1")
		require.NoError(t, replayed.Apply(decided[0].Recorded))
		require.Equal(t, i.Root(), replayed.Root())
		s, err := i.Snapshot()
		require.NoError(t, err)
		require.Equal(t, want, string(s.Body))
		require.NoError(t, restored.Restore(s))
		require.Equal(t, i.Root(), restored.Root())
		sign := func(i aggregate.Instance) bool { return math.Signbit(i.Root().(aggregate.Root[Note]).State.Ratio) }
		require.Equal(t, sign(i), sign(replayed))
		require.Equal(t, sign(i), sign(restored))
	}
}

func TestABodyIsAsLongAsItsText(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("<", 180_000)
	name, body, err := define().Encode(Take{Text: text})
	require.NoError(t, err)
	decided, err := define().New("1").Execute(name, body, aggregate.Metadata{})
	require.NoError(t, err)
	require.Less(t, len(body), 180_100)
	require.Less(t, len(decided[0].Body), 180_100)
}

func TestTextThatIsNoTextIsRefused(t *testing.T) {
	t.Parallel()
	const notUTF8, lone = "it must be valid UTF-8", "half of a surrogate pair stands alone"
	for body, want := range map[string]string{
		"{\"text\":\"\xff\"}": notUTF8, "{\"raw\":\"\xed\xa0\x80\"}": notUTF8, "{\"unknown\":\"\xff\"}": notUTF8,
		`{"text":"\ud800"}`: lone, `{"raw":"\uDC00\uD800"}`: lone, `{"raw":"\ud800\ud800\udc00"}`: lone, `{"raw":"\\\ud800"}`: lone,
		`{"raw":"\ud800\u0041"}`: lone, `{"\ud800":1}`: lone,
		`null`: "the value: expected an object, got a JSON null", "\tnull\n": "the value: expected an object, got a JSON null",
	} {
		_, err := define().New("1").Execute("take", []byte(body), aggregate.Metadata{})
		require.ErrorAs(t, err, new(*aggregate.PayloadError), body)
		require.ErrorContains(t, err, want, body)
	}
	for spoiled, want := range map[string]string{"\"\xff\"": notUTF8, `"\ud800"`: lone, `{"a":"\udfff"}`: lone} {
		name, body, err := define().Encode(Spoil{[]byte(spoiled)})
		require.NoError(t, err)
		i := define().New("1")
		_, err = i.Execute(name, body, aggregate.Metadata{})
		require.ErrorAs(t, err, new(*aggregate.EventError), spoiled)
		require.ErrorContains(t, err, want)
		require.Zero(t, i.Sequence())

		_, _, err = define().Encode(Take{Raw: json.RawMessage(spoiled)})
		require.ErrorAs(t, err, new(*aggregate.PayloadError), spoiled)
	}
}

// Form is a command with fields of every kind.
type Form struct {
	Inner
	*Pointed
	By     int             `json:"by"`
	Hidden int             `json:"-"`
	Lines  []Line          `json:"lines"`
	ByName map[string]Line `json:"by_name"`
	Raw    json.RawMessage `json:"raw"`
	Any    any             `json:"any"`
	Up     *Form           `json:"up"`
}

type Inner struct {
	Depth int `json:"depth"`
	Hint  string
}

type Pointed struct {
	*Pointed
	Far int `json:"far"`
}

type Line struct{ Count int }

func (Form) Decide(aggregate.Root[Note]) ([]aggregate.Event[Note], error) { return nil, nil }

func TestStrictRefusesFieldsThatTheCommandDoesNotHave(t *testing.T) {
	t.Parallel()
	strict := define(aggregate.Strict[Note](), aggregate.Handles[Form]("fill"))
	lax := define(aggregate.Handles[Form]("fill"))
	require.NoError(t, strict.Err())
	for body, want := range map[string]string{
		`{"byy":5}`:                   `payload of note fill: field "byy" is unknown: there are ["Hint" "any" "by" "by_name" "depth" "far" "lines" "raw" "up"]`,
		`{"BY":5}`:                    `field "BY" is unknown: it is written "by"`,
		`{"Depth":5}`:                 `field "Depth" is unknown: it is written "depth"`,
		`{"by":1,"by":7}`:             `field "by" is given twice`,
		`{"Hidden":1}`:                `field "Hidden" is unknown`,
		`{"lines":[{},{"count":1}]}`:  `field "lines.count" is unknown: it is written "Count"`,
		`{"by_name":{"x":{"y":1}}}`:   `field "by_name.x.y" is unknown`,
		`{"by_name":{"x":{},"x":{}}}`: `field "by_name.x" is given twice`,
		`{"raw":{"a":{"b":1,"b":1}}}`: `field "raw.a.b" is given twice`,
		`{"up":{"up":{"Any":1}}}`:     `field "up.up.Any" is unknown: it is written "any"`,
	} {
		_, err := strict.New("1").Execute("fill", []byte(body), aggregate.Metadata{})
		require.ErrorAs(t, err, new(*aggregate.PayloadError), body)
		require.ErrorContains(t, err, want, body)
		_, err = lax.New("1").Execute("fill", []byte(body), aggregate.Metadata{})
		require.NoError(t, err, body)
	}
	for _, body := range []string{``, `{}`, `{"by":1,"depth":2,"Hint":"x","far":3,"lines":[{"Count":1}],"by_name":{"BY":{"Count":1}},"raw":{"any":[{}]},
		"any":{"thing":[1,{"a":1}]},"up":{"by":1}}`, `{"up":null,"lines":null}`} {
		_, err := strict.New("1").Execute("fill", []byte(body), aggregate.Metadata{})
		require.NoError(t, err, body)
	}
}

// Bag is a state with an event that writes into the state's map.
type Bag map[string]int

type Drop struct{}

func (Drop) Decide(aggregate.Root[Bag]) ([]aggregate.Event[Bag], error) {
	return []aggregate.Event[Bag]{Dropped{}}, nil
}

type Dropped struct{}

func (Dropped) Evolve(b Bag) Bag {
	b["dropped"]++
	return b
}

func TestEachAggregateStartsWithAStateOfItsOwn(t *testing.T) {
	t.Parallel()
	bags := aggregate.Define("bag", aggregate.Handles[Drop]("drop"), aggregate.Emits[Dropped]("dropped"),
		aggregate.Starts(func() Bag { return Bag{} }))
	for id, times := range map[string]int{"a": 1, "b": 3, "c": 0} {
		i := bags.New(id)
		for range times {
			_, err := i.Execute("drop", nil, aggregate.Metadata{})
			require.NoError(t, err)
		}
		require.Equal(t, times, i.Root().(aggregate.Root[Bag]).State["dropped"])
	}
}

func TestAStartThatPanicsIsAnError(t *testing.T) {
	t.Parallel()
	bags := aggregate.Define("bag", aggregate.Handles[Drop]("drop"), aggregate.Emits[Dropped]("dropped"),
		aggregate.Starts(func() Bag { panic("no bags") }))
	i := bags.New("a").Clone()
	_, executing := i.Execute("drop", nil, aggregate.Metadata{})
	_, showing := i.State()
	_, keeping := i.Snapshot()
	for _, err := range []error{executing, showing, keeping, i.Apply(), i.Restore(aggregate.Snapshot{Version: 1, Body: []byte("{}")})} {
		require.ErrorAs(t, err, new(*aggregate.PanicError))
		require.ErrorContains(t, err, "start of bag a panicked: no bags")
	}
}
