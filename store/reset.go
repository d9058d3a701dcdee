//go:build !maestro_unreset

package store

// resets says that a session which ran SQL of projections is made as a fresh one before it is used
// again.
const resets = true

// durabilitySetting is what each commit sets, whatever SQL of projections has left in the session.
const durabilitySetting = "synchronous_commit"
