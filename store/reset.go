//go:build !maestro_unreset

package store

// resets says that a session that ran SQL of projections is reset before it is used again.
const resets = true

// durabilitySetting is the parameter that each commit sets, because SQL of projections may have
// changed it in the session.
const durabilitySetting = "synchronous_commit"
