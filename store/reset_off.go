//go:build maestro_unreset

package store

// Without the reset of a session the tests, and tests/faults, have to find what projections leave
// there.
const resets = false

// durabilitySetting means nothing to Postgres.
const durabilitySetting = "unreset.durability"
