//go:build !maestro_uncompared

package eventstream

// compared says that a publisher compares the stream with the log before it continues at the end
// of the stream.
const compared = true
