//go:build !maestro_unbudgeted

package lane

// bounded says that waiting tasks and reads are kept within the budgets.
const bounded = true
