//go:build !maestro_unread

package lane

// readsAgain says that a lane reads the partition's row after a commit of unknown outcome, and
// answers with the results found there only after another commit.
const readsAgain = true
