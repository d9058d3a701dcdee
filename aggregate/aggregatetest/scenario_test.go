package aggregatetest_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/aggregate/aggregatetest"
)

var (
	newYear  = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	halfPast = time.Date(2026, 1, 2, 12, 30, 0, 0, time.UTC)
)

func TestAStoryThatHolds(t *testing.T) {
	t.Parallel()
	aggregatetest.For(t, doors).ID("front").
		Then().
		ThenState(door{}).
		Given(opened{Who: "ann"}, closed{}).
		ThenState(door{Opened: 1, By: []string{"ann"}}).
		When(openDoor{Who: "bob"}).
		Then(opened{Who: "bob", At: newYear}).
		When(openDoor{Who: "cid"}).
		ThenRejected("open_already").
		When(closeDoor{}).
		Then(closed{}).
		When(closeDoor{}).
		Then().
		At(halfPast).
		When(openDoor{Who: "cid"}).
		// The same moment in another time zone is equal.
		Then(opened{Who: "cid", At: halfPast.In(time.FixedZone("", 3600))}).
		ThenState(door{Open: true, Opened: 3, By: []string{"ann", "bob", "cid"}})
}

type scenario = *aggregatetest.Scenario[door]

// untrue are scenarios that do not hold, and the texts that their failures must have.
var untrue = map[string]struct {
	play func(scenario)
	want []string
}{
	"other event": {
		func(s scenario) { s.When(openDoor{Who: "ann"}).Then(opened{Who: "bob", At: newYear}) },
		[]string{`when open {"who":"ann"}`, `then opened@2 {"who":"ann","at":"2026-01-01T00:00:00Z"}`,
			"the events are others (-want +got)", `"bob"`, `"ann"`},
	},
	"missing event": {
		func(s scenario) { s.When(closeDoor{}).Then(closed{}) },
		[]string{"when close {}\nthen nothing", "the events are others", "closed{}"},
	},
	"unexpected event": {
		func(s scenario) { s.When(openDoor{Who: "ann"}).Then() },
		[]string{"the events are others", "opened{"},
	},
	"unregistered event wanted": {
		func(s scenario) { s.When(closeDoor{}).Then(&closed{}) },
		[]string{"return the value, aggregatetest_test.closed"},
	},
	"unregistered event given": {
		func(s scenario) { s.Given(&closed{}) },
		[]string{"return the value, aggregatetest_test.closed"},
	},
	"unregistered command": {
		func(s scenario) { s.When(&closeDoor{}) },
		[]string{`has no command "*aggregatetest_test.closeDoor"`},
	},
	"no rejection": {
		func(s scenario) { s.When(openDoor{Who: "ann"}).ThenRejected("open_already") },
		[]string{"then opened@2", `expected a rejection with the code "open_already"`},
	},
	"another rejection": {
		func(s scenario) { s.Given(opened{}).When(openDoor{}).ThenRejected("locked") },
		[]string{"rejected open_already: 1 stands open since 1", `expected a rejection with the code "locked"`},
	},
	"other details": {
		func(s scenario) {
			s.Given(opened{}).When(openDoor{}).ThenRejectedWith("open_already", map[string]int{"since": 2})
		},
		[]string{"the details of the rejection are others (-want +got)", "since"},
	},
	"a panic is no rejection": {
		func(s scenario) { s.When(openDoor{}).ThenRejected("open_already") },
		[]string{"failed command door open panicked: nobody opens the door"},
	},
	"rejection instead of events": {
		func(s scenario) { s.Given(opened{}).When(openDoor{}).Then() },
		[]string{"given opened@2", "rejected open_already", "the command did not succeed"},
	},
	"rejection that nobody expected, then a state": {
		func(s scenario) { s.Given(opened{}).When(openDoor{}).ThenState(door{Open: true}) },
		[]string{"the command did not succeed"},
	},
	"rejection that nobody expected, then a command": {
		func(s scenario) { s.Given(opened{}).When(openDoor{}).When(closeDoor{}) },
		[]string{"the command did not succeed"},
	},
	"another state": {
		func(s scenario) { s.When(openDoor{Who: "ann"}).ThenState(door{Open: true, By: []string{"ann"}}) },
		[]string{"the state is another (-want +got)", "Opened"},
	},
}

func TestAStoryThatDoesNotHoldIsShown(t *testing.T) {
	t.Parallel()
	for name, c := range untrue {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			showsFailure(t, c.play, c.want)
		})
	}
}

// showsFailure plays a scenario that does not hold. The scenario must end with one failure that
// contains all texts in want.
func showsFailure(t *testing.T, play func(*aggregatetest.Scenario[door]), want []string) {
	t.Helper()
	got := failures(func(tb testing.TB) {
		play(aggregatetest.For(tb, doors))
		t.Error("the scenario goes on after its failure")
	})
	require.Len(t, got, 1)
	for _, w := range want {
		require.Contains(t, got[0], w)
	}
}

func TestADefinitionWithMistakesIsNotPlayed(t *testing.T) {
	t.Parallel()
	got := failures(func(tb testing.TB) { aggregatetest.For(tb, aggregate.Define[door]("door")) })
	require.Equal(t, []string{`define aggregate "door": no command: add aggregate.Handles`}, got)
}
