package declaration_test

import (
	"fmt"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/examples/declaration"
)

// A declaration goes through its process, and says why it cannot take a step.
func Example() {
	d := declaration.Definition.New("86791")
	for _, step := range []struct{ command, data string }{
		{"submit", `{"role": "employee", "amount_cents": 2685}`},
		{"request_payment", ``},
		{"final_approve", `{"role": "supervisor"}`},
		{"request_payment", ``},
		{"handle_payment", ``},
	} {
		if _, err := d.Execute(step.command, []byte(step.data), aggregate.Metadata{}); err != nil {
			fmt.Println(err)
		}
	}
	state, _ := d.State()
	fmt.Println(string(state))
	// Output:
	// not_approved: the declaration is submitted, expected approved
	// {"status":"paid","amount_cents":2685}
}
