package counter_test

import (
	"fmt"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/examples/counter"
)

// A counter needs no server: a command comes in as JSON, events go out as JSON.
func Example() {
	c := counter.Definition.New("42")
	for _, command := range []string{"increment", "add_tag", "increment_if_below"} {
		events, err := c.Execute(command, []byte(`{"by": 5, "tag": "red", "limit": 5}`), aggregate.Metadata{})
		for _, e := range events {
			fmt.Println(e.Sequence, e.Type, string(e.Body))
		}
		if err != nil {
			fmt.Println(err)
		}
	}
	state, _ := c.State()
	fmt.Println(string(state))
	// Output:
	// 1 incremented {"by":5}
	// 2 tag_added {"tag":"red"}
	// counter_at_limit: the counter is at 5, the limit is 5
	// {"value":5,"tags":["red"]}
}
