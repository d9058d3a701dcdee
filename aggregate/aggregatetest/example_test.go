package aggregatetest_test

import (
	"fmt"
	"testing"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/aggregate/aggregatetest"
)

type Light struct{ On bool }

type Switch struct {
	On bool `json:"on"`
}

func (c Switch) Decide(r aggregate.Root[Light]) ([]aggregate.Event[Light], error) {
	if c.On == r.State.On {
		return nil, aggregate.Reject("no_change", "the light is that way already")
	}
	return []aggregate.Event[Light]{Switched(c)}, nil
}

type Switched struct {
	On bool `json:"on"`
}

func (e Switched) Evolve(Light) Light { return Light(e) }

var light = aggregate.Define("light",
	aggregate.Handles[Switch]("switch"),
	aggregate.Emits[Switched]("switched"))

func ExampleFor() {
	var t testing.T // a test has its own
	aggregatetest.For(&t, light).
		Given(Switched{On: true}).
		When(Switch{On: false}).
		Then(Switched{On: false}).
		ThenState(Light{On: false}).
		When(Switch{On: false}).
		ThenRejected("no_change")
	fmt.Println("failed:", t.Failed())
	// Output: failed: false
}

func ExampleSound() {
	var t testing.T // a test has its own
	aggregatetest.Sound(&t, light, Switch{On: true}, Switch{On: false})
	fmt.Println("failed:", t.Failed())
	// Output: failed: false
}
