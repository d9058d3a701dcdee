//go:build maestro_unread

package lane

// Without that read the tests have to find what goes wrong.
const readsAgain = false
