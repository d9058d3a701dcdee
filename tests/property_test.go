package tests

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/maestro-es/maestro/client"
	"github.com/maestro-es/maestro/internal/wire"
)

// Any commands lead to the outcomes and states of the model. Durable commands come in batches, with
// requests between them.
func TestAnyCommandsAreAFold(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.start()
	m, cases := newModel(s.partitions), 0
	rapid.Check(t, func(rt *rapid.T) {
		cases++
		steps := rapid.SliceOfN(commandOf(s, cases), 1, 40).Draw(rt, "commands")
		for len(steps) > 0 {
			n := rapid.IntRange(1, len(steps)).Draw(rt, "at once")
			s.together(rt, m, steps[:n])
			if steps = steps[n:]; len(steps) > 0 {
				s.alone(rt, m, steps[0])
				steps = steps[1:]
			}
		}
		for key, want := range m.instances {
			if strings.HasPrefix(key.ID, fmt.Sprintf("%d-", cases)) {
				state, err := s.Get(s.Context(), key.Type, key.ID, client.GetOptions{})
				require.NoError(rt, err)
				body, err := want.State()
				require.NoError(rt, err)
				require.Equal(rt, want.Sequence(), state.Sequence)
				require.JSONEq(rt, string(body), string(state.State))
			}
		}
	})
	s.checkAgainst(m)
}

// commandOf draws commands for a few aggregates of a case's own. Some ids come twice. Counters
// contend for names within their partition.
func commandOf(s *system, number int) *rapid.Generator[client.Command] {
	return rapid.Custom(func(t *rapid.T) client.Command {
		c := client.Command{
			Aggregate:   rapid.SampledFrom([]string{"counter", "counter", "declaration"}).Draw(t, "type"),
			AggregateID: fmt.Sprintf("%d-%d", number, rapid.IntRange(1, 3).Draw(t, "aggregate")),
			ID:          fmt.Sprintf("p-%d", rapid.IntRange(1, 60).Draw(t, "command id")),
		}
		c.Name = rapid.SampledFrom(definitions[c.Aggregate].CommandNames()).Draw(t, "command")
		name := fmt.Sprintf("%d-%d-%s", number, wire.Partition(c.Aggregate, c.AggregateID, s.partitions),
			rapid.SampledFrom([]string{"a", "b"}).Draw(t, "name"))
		c.Data = json.RawMessage(fmt.Sprintf(`{"by":%d,"limit":%d,"name":%q,"tag":%q,"amount_cents":%d}`,
			rapid.IntRange(-1, 9).Draw(t, "by"), rapid.IntRange(0, 20).Draw(t, "limit"), name,
			rapid.SampledFrom([]string{"", "red", "blue"}).Draw(t, "tag"), rapid.IntRange(-1, 1000).Draw(t, "cents")))
		return c
	})
}

// together stores the commands in order and compares the sums of their outcomes with the model.
func (s *system) together(t require.TestingT, m *model, commands []client.Command) {
	want := map[string]int{}
	for _, c := range commands {
		known := len(m.verdicts)
		v := m.handle(c)
		if len(m.verdicts) == known {
			want["duplicate"]++
		} else {
			want[string(v.Status)]++
		}
	}
	sum, err := s.Import(s.Context(), yield(commands), client.ImportOptions{Wait: true})
	require.NoError(t, err)
	require.Equal(t, counts(len(commands), want["committed"], want["rejected"], want["duplicate"], 0),
		counts(sum.Commands, sum.Committed, sum.Rejected, sum.Duplicate, sum.Failed))
}

// alone sends one request and compares its outcome with the model.
func (s *system) alone(t require.TestingT, m *model, c client.Command) {
	known := len(m.verdicts)
	want := m.handle(c)
	o, err := s.Request(s.Context(), c)
	require.NoError(t, err)
	got := verdict{Status: o.Status, Sequence: o.Sequence}
	if o.Error != nil {
		got.Code = o.Error.Code
	}
	require.Equal(t, want, got)
	require.Equal(t, len(m.verdicts) == known, o.Duplicate)
}
