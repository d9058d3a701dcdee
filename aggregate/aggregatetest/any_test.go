package aggregatetest_test

import (
	"errors"
	"flag"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/aggregate/aggregatetest"
)

var switches = rapid.Custom(func(t *rapid.T) aggregate.Command[Light] {
	return rapid.Make[Switch]().Draw(t, "switch")
})

func TestAnyCommandKeepsTheRules(t *testing.T) {
	t.Parallel()
	aggregatetest.Any(t, light, switches, func(r aggregate.Root[Light]) error {
		if r.State.On != (r.Sequence%2 == 1) {
			return errors.New("every event switches the light")
		}
		return nil
	})
	aggregatetest.Any(t, light, switches, nil)
}

var broken = flag.String("broken", "", "the mistake of an aggregate, in a process of its own")

// books is an aggregate with a mistake of each kind.
type books struct {
	Titles map[string]int `json:"titles"`
	Lent   int            `json:"-"`
}

type lend struct{ What string }

func (c lend) Decide(r aggregate.Root[books]) ([]aggregate.Event[books], error) {
	switch c.What {
	case "panic":
		panic("no such book")
	case "write":
		r.State.Titles["a"]++
		return nil, nil
	case "forget":
		return []aggregate.Event[books]{lent{Forget: true}}, nil
	}
	return []aggregate.Event[books]{lent{}}, nil
}

type lent struct{ Forget bool }

func (e lent) Evolve(b books) books {
	if e.Forget {
		b.Lent++
	} else {
		b.Titles = map[string]int{"a": b.Titles["a"] + 1}
	}
	return b
}

var library = aggregate.Define("library",
	aggregate.Starts(func() books { return books{Titles: map[string]int{}} }),
	aggregate.Handles[lend]("lend"),
	aggregate.Emits[lent]("lent"))

// breakLibrary runs [aggregatetest.Any] on an aggregate with a mistake, which fails the test. Where
// there is no other mistake, a rule does not hold.
func breakLibrary(t *testing.T, what string) {
	t.Helper()
	holds := func(r aggregate.Root[books]) error {
		if what == "nothing" && r.State.Titles["a"] > 2 {
			return errors.New("there are two copies")
		}
		return nil
	}
	aggregatetest.Any(t, library, rapid.Custom(func(t *rapid.T) aggregate.Command[books] {
		return lend{What: rapid.SampledFrom([]string{"", what}).Draw(t, "what")}
	}), holds)
}

// The test runs itself once more for each mistake, because Any ends the test that it fails.
func TestAnyFindsTheShortestHistory(t *testing.T) {
	if *broken != "" {
		breakLibrary(t, *broken)
		return
	}
	t.Parallel()
	for what, says := range map[string][]string{
		"panic":  {"no such book", "the command neither succeeded nor was rejected"},
		"write":  {`command "lend" or one of its events changes the state it is given`},
		"forget": {"the state is another after a snapshot"},
		"nothing": {"when lend {\"What\":\"\"}\nthen lent {\"Forget\":false}\nwhen lend {\"What\":\"\"}\nthen lent {\"Forget\":false}\n" +
			"when lend {\"What\":\"\"}\nthen lent {\"Forget\":false}\n\nthere are two copies"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			program, err := os.Executable()
			require.NoError(t, err)
			cmd := exec.CommandContext(t.Context(), program, "-test.run=^TestAnyFindsTheShortestHistory$", "-broken="+what, "-rapid.nofailfile")
			out, err := cmd.CombinedOutput()
			require.Error(t, err, "it fails")
			for _, line := range says {
				require.Contains(t, strings.ReplaceAll(string(out), "\n        ", "\n"), line)
			}
		})
	}
}
