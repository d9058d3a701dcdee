//go:build maestro_unbudgeted

package lane

// This build has no budgets, to prove that the tests notice their absence.
const bounded = false
