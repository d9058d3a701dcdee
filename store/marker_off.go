//go:build maestro_unmarked

package store

// Without a look at the transaction the tests, and tests/faults, have to find what projections do
// to it.
const marks = false
