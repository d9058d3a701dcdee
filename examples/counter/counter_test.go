package counter_test

import (
	"testing"

	"github.com/maestro-es/maestro/aggregate/aggregatetest"
	"github.com/maestro-es/maestro/examples/counter"
)

func TestHistories(t *testing.T) {
	t.Parallel()
	aggregatetest.Golden(t, counter.Definition, "testdata/*.txt")
}

func TestDefinitionIsSound(t *testing.T) {
	t.Parallel()
	aggregatetest.Sound(t, counter.Definition,
		counter.Increment{}, counter.Decrement{By: new(int64(3))}, counter.IncrementIfBelow{Limit: 10},
		counter.Name{Name: "apples"}, counter.AddTag{Tag: "red"}, counter.AddTag{Tag: "blue"}, counter.AddTag{Tag: "sour"},
		counter.RemoveTag{Tag: "red"})
}

func TestTheLimitHolds(t *testing.T) {
	t.Parallel()
	aggregatetest.For(t, counter.Definition).
		Given(counter.Incremented{By: 9}).
		When(counter.IncrementIfBelow{Limit: 10}).
		Then(counter.Incremented{By: 1}).
		When(counter.IncrementIfBelow{Limit: 10}).
		ThenRejectedWith("counter_at_limit", counter.Limited{Value: 10, Limit: 10}).
		ThenState(counter.Counter{Value: 10})
}
