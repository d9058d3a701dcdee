// Command worker is the worker that faults strike. It is the project's own worker with one more
// aggregate.
package main

import (
	"slices"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/examples/counter"
	"github.com/maestro-es/maestro/examples/declaration"
	"github.com/maestro-es/maestro/tests/faults/parcel"
	"github.com/maestro-es/maestro/workercmd"
)

func main() {
	workercmd.Main(workercmd.Program{
		Name:        "worker",
		Aggregates:  []aggregate.Type{counter.Definition, declaration.Definition, parcel.Definition},
		Projections: slices.Concat(counter.Projections(), declaration.Projections(), parcel.Projections()),
	})
}
