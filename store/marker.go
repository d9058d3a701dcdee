//go:build !maestro_unmarked

package store

// marks says that the store checks a transaction that projections had in hand before it commits
// the transaction.
const marks = true
