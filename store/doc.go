// Package store is the event log: it holds what is committed, and commits it in one transaction.
//
// Commits come in: batches of evaluated commands of one partition. The histories of aggregates,
// the log of a partition in position order, and receipts go out. [Store] has two implementations:
// [Postgres], and [Memory] for trials and tests. Package storetest tests what both must do.
//
// Postgres keeps the promises that everything else rests on. The partition's epoch and position
// fence every commit. The events of an aggregate and the positions of a partition have no gaps. A
// command's receipt is committed together with its events or not at all. The package decides
// nothing about commands and talks to no broker.
package store
