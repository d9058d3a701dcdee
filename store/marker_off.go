//go:build maestro_unmarked

package store

// This build does not check such a transaction, so that the tests and tests/faults can prove that
// they find what projections do to it.
const marks = false
