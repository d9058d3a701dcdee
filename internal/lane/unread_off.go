//go:build maestro_unread

package lane

// This build does not read the row, to prove that the tests notice.
const readsAgain = false
