//go:build !maestro_unbudgeted

package lane

// budgeted says that what waits, and what is read, is kept within the budgets.
const budgeted = true
