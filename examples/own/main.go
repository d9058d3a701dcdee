// Command own is a Maestro worker with the aggregates and read models of this module.
package main

import (
	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/projections"
	"github.com/maestro-es/maestro/workercmd"

	"example.com/own/account"
)

func main() {
	workercmd.Main(workercmd.Program{
		Aggregates:  []aggregate.Type{account.Definition},
		Projections: []*projections.Projection{account.Balances},
	})
}
