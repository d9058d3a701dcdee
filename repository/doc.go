// Package repository evaluates commands as a plain library on a store, without NATS and without a
// worker.
//
// Commands come in by method calls and go through the same lanes as in a worker. They are batched,
// decided on aggregates in memory, and committed in one transaction with the read models that the
// repository was given. Results have the user's types.
//
// A [Repository] owns no partition and publishes no event. If a worker has the same namespace, that
// worker publishes the events that a repository has committed.
package repository
