// Package aggregate is the pure core of Maestro: the interfaces that a user implements, and the
// fold that runs them.
//
// An aggregate has a state S, commands that decide and events that evolve the state:
//
//	func (c Increment) Decide(r aggregate.Root[Counter]) ([]aggregate.Event[Counter], error)
//	func (e Incremented) Evolve(c Counter) Counter
//
//	var counter = aggregate.Define("counter",
//		aggregate.Handles[Increment]("increment"),
//		aggregate.Emits[Incremented]("incremented"))
//
// Commands and recorded events come in as JSON, and decided events go out as JSON. The state type
// ends at one seam: a Definition[S] is also a Type, and everything else in Maestro works with Type
// and Instance.
//
// The package does no input or output, reads no clock, and knows no database, broker or telemetry.
// It imports the standard library alone.
package aggregate
