// Package maestro is an event-sourcing command worker on NATS and Postgres.
//
// A user writes aggregates (package aggregate): a state, commands that decide, and events that
// evolve the state. A user also writes read models that agree with them (package projections).
// Clients in any language publish commands to NATS. One worker owns each aggregate at a time. It
// evaluates the command and commits the events to Postgres, in one transaction with everything that
// must agree with them. Then it answers, and publishes the events to a JetStream stream. The data's
// path:
//
//	client -> NATS -> consumer -> (lane: evaluate) -> store (+ projections, one transaction) -> eventstream -> subscribers
//
// [Run] wires everything together and is all that a worker needs. Package repository offers the
// same evaluation as a plain library on a store, without NATS. docs/guarantees.md lists the
// guarantees, each with the test that tries to break it.
package maestro
