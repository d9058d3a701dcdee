// Command worker runs a Maestro worker with the example aggregates: it handles the commands of a
// NATS server, commits their events to Postgres and publishes them.
//
//	go run ./cmd/worker --dev
//
// is a whole system in one process, for trials. Your own worker is a program like this one, with
// your aggregates in place of the examples; see package workercmd.
package main

import (
	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/examples/counter"
	"github.com/maestro-es/maestro/examples/declaration"
	"github.com/maestro-es/maestro/workercmd"
)

func main() {
	workercmd.Main(workercmd.Program{
		Name:        "worker",
		Aggregates:  []aggregate.Type{counter.Definition, declaration.Definition},
		Projections: append(counter.Projections(), declaration.Projections()...),
	})
}
