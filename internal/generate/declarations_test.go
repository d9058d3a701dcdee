package generate_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/examples/declaration"
	"github.com/maestro-es/maestro/internal/generate"
)

func TestTheSameSeedGivesTheSameCommands(t *testing.T) {
	t.Parallel()
	lines := func(seed uint64, n int) string {
		var b strings.Builder
		for cmd := range generate.Declarations(seed, n) {
			require.NoError(t, json.NewEncoder(&b).Encode(cmd))
		}
		return b.String()
	}
	require.Equal(t, strings.Join([]string{
		`{"id":"1-1-1","aggregate":"declaration","aggregate_id":"1-1","command":"submit","data":{"at":"2026-01-05T09:00:00.000+01:00","role":"employee","amount_cents":2801}}`,
		`{"id":"1-1-2","aggregate":"declaration","aggregate_id":"1-1","command":"approve","data":{"at":"2026-01-05T10:07:47.703+01:00","role":"administration"}}`,
		"",
	}, "\n"), lines(1, 2))
	first, second := lines(7, 500), lines(7, 500)
	require.Equal(t, first, second)
	require.True(t, strings.HasPrefix(first, lines(7, 300)), "fewer commands are the first of many")
	require.NotContains(t, lines(8, 500), `"aggregate_id":"7-1"`)
}

// The aggregate itself judges what is generated.
func TestDeclarationsLookLikeTheRealProcess(t *testing.T) {
	t.Parallel()
	const n = 20_000
	open := map[string]aggregate.Instance{}
	rejected, mostOpen, last := 0, 0, time.Time{}
	commands, finished, ids := map[string]int{}, map[string]int{}, map[string]bool{}
	for cmd := range generate.Declarations(1, n) {
		require.False(t, ids[cmd.ID], "id %s twice", cmd.ID)
		ids[cmd.ID] = true
		commands[cmd.Name]++
		body, err := json.Marshal(cmd.Data)
		require.NoError(t, err)
		var step declaration.Step
		require.NoError(t, json.Unmarshal(body, &step))
		require.False(t, step.At.Before(last), "in the order of time")
		last = step.At
		d, ok := open[cmd.AggregateID]
		if !ok {
			d = declaration.Definition.New(cmd.AggregateID)
			open[cmd.AggregateID] = d
		}
		if _, err := d.Execute(cmd.Name, body, aggregate.Metadata{ID: cmd.ID}); err != nil {
			require.ErrorContains(t, err, "the declaration is")
			rejected++
		}
		if s := d.Root().(declaration.Root).State.Status; s == "paid" {
			finished[s]++
			delete(open, cmd.AggregateID)
		}
		mostOpen = max(mostOpen, len(open))
	}
	require.Len(t, ids, n)
	require.InDelta(t, 0.005, float64(rejected)/n, 0.002)
	require.Greater(t, mostOpen, 50)
	require.Greater(t, finished["paid"], n/7)
	names := declaration.Definition.CommandNames()
	for name := range commands {
		require.True(t, slices.Contains(names, name), name)
	}
	require.Len(t, commands, len(names), "every command occurs: %v", commands)
}
