//go:build !maestro_unfenced_stream

package eventstream

// fenced says that the stream refuses messages of a replaced publisher.
const fenced = true
