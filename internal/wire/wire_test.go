package wire_test

import (
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/internal/wire"
)

// The subjects and streams are a contract with clients of every language: a change here breaks
// them.
func TestContract(t *testing.T) {
	t.Parallel()
	ns := wire.Namespace(wire.DefaultNamespace)
	for want, got := range map[string]string{
		"maestro.cmd.counter.42.increment":   ns.Send("counter", "42", "increment"),
		"maestro.do.counter.42.increment":    ns.Do("counter", "42", "increment"),
		"maestro.get.counter.42":             ns.Get("counter", "42"),
		"maestro.history.counter.42":         ns.History("counter", "42"),
		"maestro.snapshot.counter.42":        ns.Snapshot("counter", "42"),
		"maestro.evt.5.counter.42.increased": ns.Event(5, "counter", "42", "increased"),
		"maestro.fence.5":                    ns.Fence(5),
		"MAESTRO_COMMANDS":                   ns.CommandStream(),
		"MAESTRO_EVENTS":                     ns.EventStream(),
		"maestro":                            ns.Service(),
		"maestro.cmd.{{partition(64,1,2)}}.{{wildcard(1)}}.{{wildcard(2)}}.{{wildcard(3)}}": ns.CommandTransform(64),
	} {
		require.Equal(t, want, got)
	}
}

func TestPatternsMatchTheirSubjectsAlone(t *testing.T) {
	t.Parallel()
	ns, other := wire.Namespace("orders"), wire.Namespace("orders_2")
	commandIn := func(ns wire.Namespace, p int) string {
		return strings.Replace(ns.CommandsOf(p), ">", "counter.42.increment", 1)
	}
	for _, c := range []struct {
		pattern   string
		match     []string
		different []string
	}{
		{ns.Commands(), []string{ns.Send("counter", "42", "increment")},
			[]string{other.Send("counter", "42", "increment"), ns.Do("counter", "42", "increment"), commandIn(ns, 5)}},
		{ns.CommandsOf(5), []string{commandIn(ns, 5)}, []string{commandIn(ns, 6), commandIn(ns, 55), commandIn(other, 5)}},
		{ns.Events(), []string{ns.Event(5, "counter", "42", "increased"), ns.Event(63, "counter", "42", "increased")},
			[]string{other.Event(5, "counter", "42", "increased"), ns.Fence(5)}},
		{ns.EventsOf(5), []string{ns.Event(5, "counter", "42", "increased")},
			[]string{ns.Event(50, "counter", "42", "increased"), other.Event(5, "counter", "42", "increased")}},
		{ns.Fences(), []string{ns.Fence(0), ns.Fence(63)}, []string{other.Fence(0), ns.Event(0, "a", "b", "c")}},
	} {
		for _, subject := range c.match {
			require.True(t, server.SubjectsCollide(c.pattern, subject), "%s should match %s", c.pattern, subject)
		}
		for _, subject := range c.different {
			require.False(t, server.SubjectsCollide(c.pattern, subject), "%s should not match %s", c.pattern, subject)
		}
	}
}

func TestNamespaceCheck(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"maestro", "a", "team_2", "a" + strings.Repeat("b", 31)} {
		require.NoError(t, wire.Namespace(good).Check())
	}
	for _, bad := range []string{"", "Maestro", "2a", "_a", "a.b", "a b", "a*", "a>", "a-b", "é", "a" + strings.Repeat("b", 32)} {
		require.Error(t, wire.Namespace(bad).Check(), "%q", bad)
	}
}
