package aggregate_test

import (
	"fmt"
	"testing"

	"github.com/maestro-es/maestro/aggregate"
)

type Counter struct{ Total int }

type Increment struct {
	By int `json:"by"`
}

func (c Increment) Decide(aggregate.Root[Counter]) ([]aggregate.Event[Counter], error) {
	if c.By <= 0 {
		return nil, aggregate.Reject("invalid_amount", "by must be positive, got %d", c.By)
	}
	return []aggregate.Event[Counter]{Incremented(c)}, nil
}

type Incremented struct {
	By int `json:"by"`
}

func (e Incremented) Evolve(c Counter) Counter {
	c.Total += e.By
	return c
}

var counter = aggregate.Define("counter",
	aggregate.Handles[Increment]("increment"),
	aggregate.Emits[Incremented]("incremented"))

func Example() {
	c := counter.New("42")
	events, err := c.Execute("increment", []byte(`{"by": 3}`), aggregate.Metadata{ID: "first"})
	fmt.Println(events[0].Type, string(events[0].Body), err)
	_, err = c.Execute("increment", []byte(`{"by": -1}`), aggregate.Metadata{ID: "second"})
	fmt.Println(err)
	_, err = c.Execute("increment", []byte(`{"by": "one"}`), aggregate.Metadata{ID: "third"})
	fmt.Println(err)
	state, _ := c.State()
	fmt.Println(c.Sequence(), string(state))
	// Output:
	// incremented {"by":3} <nil>
	// invalid_amount: by must be positive, got -1
	// payload of counter increment: field by: expected a whole number (int), got a JSON string
	// 1 {"Total":3}
}

func TestDefinitionIsSound(t *testing.T) {
	if err := counter.Err(); err != nil {
		t.Fatal(err)
	}
}
