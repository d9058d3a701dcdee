// Package repository evaluates commands as a plain library: on a store, without NATS and without a
// worker.
//
// Commands come in by method calls, and go through the same lanes as a worker's: batched, decided
// on aggregates in memory, committed in one transaction with the read models that the repository
// was given. Results come back with the user's types.
//
// A [Repository] owns no partition and publishes no event. Where a worker has the same namespace,
// that worker publishes what a repository has committed.
package repository
