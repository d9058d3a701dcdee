//go:build maestro_unreset

package store

// This build does not reset sessions, so that the tests and tests/faults can prove that they find
// what projections leave there.
const resets = false

// durabilitySetting means nothing to Postgres.
const durabilitySetting = "unreset.durability"
