//go:build maestro_unbudgeted

package lane

// Without budgets the tests have to find what goes wrong.
const bounded = false
