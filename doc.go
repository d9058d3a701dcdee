// Package maestro is an event-sourcing command worker on NATS and Postgres.
//
// A user writes aggregates: a state, commands that decide, events that evolve (package aggregate), and read models that agree with
// them (package projections). Clients in any language publish commands to NATS. One worker owns each aggregate at a time; it
// evaluates the command, commits its events to Postgres in one transaction together with everything that must agree
// with them, answers, and publishes the events to a JetStream stream. The data's path:
//
//	client -> NATS -> consumer -> (lane: evaluate) -> store (+ projections, one transaction) -> eventstream -> subscribers
//
// [Run] wires it together and is all that a worker needs. Package repository is the same evaluation as a plain library on a
// store, with no NATS at all. The guarantees, each with the test that tries to break it, are in docs/guarantees.md.
package maestro
