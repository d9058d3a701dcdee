//go:build !maestro_unmarked

package store

// marks says that a transaction which projections had in hand is looked at before it is committed.
const marks = true
