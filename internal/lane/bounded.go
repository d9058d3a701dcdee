//go:build !maestro_unbudgeted

package lane

// bounded says that what waits, and what is read, is kept within the budgets.
const bounded = true
