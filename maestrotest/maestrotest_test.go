package maestrotest_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro"
	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/client"
	"github.com/maestro-es/maestro/examples/counter"
	"github.com/maestro-es/maestro/maestrotest"
)

func config() maestro.Config {
	return maestro.Config{Aggregates: []aggregate.Type{counter.Definition}, Projections: counter.Projections()}
}

func by(n int64) counter.Increment { return counter.Increment{By: &n} }

func TestAHistoryThroughTheWholePath(t *testing.T) {
	t.Parallel()
	w := maestrotest.Run(t, config())
	maestrotest.On(w, counter.Definition, "42").
		Given(by(3), counter.Name{Name: "apples"}).
		When(by(1)).
		Then(counter.Incremented{By: 1}).
		When(counter.Name{Name: "apples"}).
		Then().
		When(by(-1)).
		ThenRejected("invalid_amount").
		ThenState(counter.Counter{Value: 4, Name: "apples"})
	maestrotest.On(w, counter.Definition, "43").
		When(counter.Name{Name: "apples"}).
		ThenRejected("name_taken") // the read model says so
}

func TestSettleWaitsForDurableCommands(t *testing.T) {
	t.Parallel()
	w := maestrotest.Run(t, config())
	w.Settle() // nothing was sent
	const commands = 300
	for n := range commands {
		_, err := w.Client.Send(t.Context(), client.Command{Aggregate: "counter", AggregateID: fmt.Sprint(n % 7), Name: "increment"})
		require.NoError(t, err)
	}
	w.Settle()
	var events int
	require.NoError(t, w.Database.QueryRow(t.Context(), "select count(*) from maestro.events").Scan(&events))
	require.Equal(t, commands, events)
}

func TestAnotherOutcomeFailsTheTest(t *testing.T) {
	t.Parallel()
	w := maestrotest.Run(t, config())
	for name, c := range map[string]struct {
		tell func(*maestrotest.Aggregate[counter.Counter])
		says string
	}{
		"other events": {func(a *maestrotest.Aggregate[counter.Counter]) { a.When(by(1)).Then(counter.Incremented{By: 2}) },
			"the events are others"},
		"not rejected": {func(a *maestrotest.Aggregate[counter.Counter]) { a.When(by(1)).ThenRejected("invalid_amount") },
			"expected the outcome rejected, got committed"},
		"other code": {func(a *maestrotest.Aggregate[counter.Counter]) { a.When(by(-1)).ThenRejected("invalid") },
			`expected the code "invalid"`},
		"unsaid": {func(a *maestrotest.Aggregate[counter.Counter]) { a.When(by(-1)).When(by(1)) },
			"expected the outcome committed, got rejected: invalid_amount"},
		"other state": {func(a *maestrotest.Aggregate[counter.Counter]) { a.ThenState(counter.Counter{Value: -1}) },
			"the state is another"},
		"no command": {func(a *maestrotest.Aggregate[counter.Counter]) { a.Then() },
			"call When first"},
	} {
		t.Run(name, func(t *testing.T) {
			fails := &failure{TB: t}
			require.Panics(t, func() { c.tell(maestrotest.On(w.For(fails), counter.Definition, "1")) })
			require.Contains(t, fails.text, c.says)
		})
	}
}

// failure is a testing.TB that keeps the message of a failure and panics.
type failure struct {
	testing.TB
	text string
}

func (f *failure) Helper() {}

func (f *failure) Fatalf(format string, args ...any) {
	f.text = fmt.Sprintf(format, args...)
	panic(f.text)
}
