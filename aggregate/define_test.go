package aggregate_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/aggregate"
)

type (
	options = []aggregate.Option[Counter]
	// another is a second command and other a second event. They behave like the first ones.
	another struct{ Increment }
	other   struct{ Incremented }
)

func TestMistakesAreReportedByErr(t *testing.T) {
	t.Parallel()
	command, event := aggregate.Handles[Increment], aggregate.Emits[Incremented]
	for name, c := range map[string]struct {
		aggregate string
		options   options
		want      string
	}{
		"no command":          {"counter", options{event("e")}, "no command"},
		"bad aggregate name":  {"Counter", options{command("c")}, `aggregate name "Counter"`},
		"long aggregate name": {strings.Repeat("a", 65), options{command("c")}, "aggregate name"},
		"bad command name":    {"counter", options{command("in crement")}, `command name "in crement"`},
		"bad event name":      {"counter", options{command("c"), event("")}, `event name ""`},
		"command name twice": {"counter", options{command("c"), aggregate.Handles[another]("c")},
			`command "c" is registered twice`},
		"command type twice": {"counter", options{command("c"), command("d")},
			`Increment is registered as both "c" and "d"`},
		"event name twice": {"counter", options{command("c"), event("e"), aggregate.Emits[other]("e")},
			`event "e" is registered twice`},
		"event type twice": {"counter", options{command("c"), event("e"), event("f")},
			`Incremented is registered as both "e" and "f"`},
		"interface as command": {"counter", options{aggregate.Handles[aggregate.Command[Counter]]("c")},
			"Command[github.com/maestro-es/maestro/aggregate_test.Counter] is an interface"},
		"interface as event": {"counter", options{command("c"), aggregate.Emits[aggregate.Event[Counter]]("e")},
			"Event[github.com/maestro-es/maestro/aggregate_test.Counter] is an interface"},
		"snapshot version 0": {"counter", options{command("c"), aggregate.Snapshots(0, same, same)},
			"snapshot version 0"},
		"snapshots every -1": {"counter", options{command("c"), aggregate.SnapshotEvery[Counter](-1)},
			"every -1 events"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := aggregate.Define(c.aggregate, c.options...).Err()
			require.ErrorContains(t, err, c.want)
			require.ErrorContains(t, err, "define aggregate")
		})
	}
}

func same(c Counter) Counter { return c }

func TestAllMistakesAreReportedAtOnce(t *testing.T) {
	t.Parallel()
	err := aggregate.Define("?", aggregate.Emits[Incremented]("!")).Err()
	for _, want := range []string{`aggregate name "?"`, `event name "!"`, "no command"} {
		require.ErrorContains(t, err, want)
	}
}

func TestADefinitionKnowsItsNames(t *testing.T) {
	t.Parallel()
	d := aggregate.Define("counter",
		aggregate.Handles[Increment]("second"), aggregate.Handles[another]("first"),
		aggregate.Emits[Incremented]("fourth"), aggregate.Emits[other]("third"))
	require.NoError(t, d.Err())
	require.Equal(t, "counter", d.Name())
	require.Equal(t, []string{"first", "second"}, d.CommandNames())
	require.Equal(t, []string{"fourth", "third"}, d.EventNames())

	goType, ok := d.EventType("third")
	require.True(t, ok)
	require.Equal(t, reflect.TypeFor[other](), goType)
	_, ok = d.EventType("fifth")
	require.False(t, ok)
}

func TestEncodeGivesACommandItsWireForm(t *testing.T) {
	t.Parallel()
	name, body, err := counter.Encode(Increment{By: 3})
	require.NoError(t, err)
	require.Equal(t, "increment", name)
	require.JSONEq(t, `{"by":3}`, string(body))

	_, _, err = counter.Encode(another{})
	var unknown *aggregate.UnknownCommandError
	require.ErrorAs(t, err, &unknown)
	require.Equal(t, []string{"increment"}, unknown.Known)
}

func TestStartsSetsTheFirstState(t *testing.T) {
	t.Parallel()
	d := aggregate.Define("counter", aggregate.Starts(func() Counter { return Counter{Total: 10} }),
		aggregate.Handles[Increment]("increment"), aggregate.Emits[Incremented]("incremented"))
	c := d.New("42")
	require.Equal(t, aggregate.Root[Counter]{ID: "42", State: Counter{Total: 10}}, c.Root())
	_, err := c.Execute("increment", []byte(`{"by":1}`), aggregate.Metadata{})
	require.NoError(t, err)
	require.Equal(t, aggregate.Root[Counter]{ID: "42", Sequence: 1, State: Counter{Total: 11}}, c.Root())
	require.Equal(t, Counter{Total: 10}, d.New("43").Root().(aggregate.Root[Counter]).State)
}
