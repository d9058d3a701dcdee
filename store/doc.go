// Package store is the event log: what is committed, and the one transaction that commits it.
//
// In come commits (batches of evaluated commands of one partition); out go the histories of aggregates, the log of a
// partition in position order, and receipts. Two implementations stand behind [Store]: [Postgres], and [Memory] for
// trials and tests. Package storetest holds what both must do.
//
// Postgres keeps the promises that everything else rests on: a commit is fenced by the partition's epoch and position,
// events of an aggregate and positions of a partition have no gaps, and a command's receipt stands or falls with its
// events. The package decides nothing about commands and talks to no broker.
package store
