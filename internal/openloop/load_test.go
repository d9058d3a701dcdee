package openloop

import (
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDataIsATemplate(t *testing.T) {
	t.Parallel()
	d, err := ParseData(`{"n":{{.N}},"id":"{{.ID}}","by":{{random 1}}}`)
	require.NoError(t, err)
	made, err := d.of(variables{N: 7, ID: "x-3"})
	require.NoError(t, err)
	require.JSONEq(t, `{"n":7,"id":"x-3","by":0}`, string(made))
	for _, same := range []string{"", `{"by":1}`} {
		d, err := ParseData(same)
		require.NoError(t, err)
		made, err := d.of(variables{})
		require.NoError(t, err)
		require.Equal(t, same, string(made))
	}
	for text, want := range map[string]string{
		`{"by":`:               "expected JSON",
		`{"by":{{.N}`:          "template",
		`{"by":{{.Nobody}}}`:   "Nobody",
		`{"by":{{random 0}}}`:  "random 0: expected a number above 0",
		`{"by":{{random -1}}}`: "expected a number above 0",
	} {
		_, err := ParseData(text)
		require.ErrorContains(t, err, want)
	}
}

func TestALoadThatMakesNoSenseIsRefused(t *testing.T) {
	t.Parallel()
	good := Load{Aggregate: "counter", Command: "increment", Aggregates: 10, IDs: "a-"}
	require.NoError(t, good.Check())
	for want, spoil := range map[string]func(*Load){
		`aggregate name "Counter"`: func(l *Load) { l.Aggregate = "Counter" },
		`command name ""`:          func(l *Load) { l.Command = "" },
		`aggregate id "a.b`:        func(l *Load) { l.IDs = "a.b" },
		"aggregate id":             func(l *Load) { l.IDs = strings.Repeat("x", 128) },
		"0 aggregates: expected":   func(l *Load) { l.Aggregates = 0 },
		"hot share 1.5: expected":  func(l *Load) { l.Hot = 1.5 },
		"hot share -1: expected":   func(l *Load) { l.Hot = -1 },
	} {
		l := good
		spoil(&l)
		require.ErrorContains(t, l.Check(), want)
	}
}

func TestTheHotAggregateGetsItsShare(t *testing.T) {
	t.Parallel()
	const commands = 100_000
	counts := func(l Load) map[string]int {
		n := map[string]int{}
		for range commands {
			n[l.pick()]++
		}
		return n
	}
	// Chance alone never reaches ten standard deviations of a binomial distribution.
	even := counts(Load{Aggregates: 10, IDs: "a"})
	require.Len(t, even, 10)
	for i := range 10 {
		require.InDelta(t, commands/10, even["a"+strconv.Itoa(i)], 1000)
	}
	hot := counts(Load{Aggregates: 10, IDs: "a", Hot: 0.5})
	require.InDelta(t, commands/2, hot["a0"], 1600)
	require.InDelta(t, commands/18, hot["a9"], 800)
	require.Len(t, counts(Load{Aggregates: 1, Hot: 0.5}), 1)
	require.Len(t, counts(Load{Aggregates: 3, Hot: 1}), 1)
}
