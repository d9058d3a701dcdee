//go:build !maestro_uncompared

package eventstream

// compared says that a publisher compares the stream with the log before it goes on where the stream ends.
const compared = true
