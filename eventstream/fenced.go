//go:build !maestro_unfenced_stream

package eventstream

// fenced says that the stream is to refuse what a replaced publisher sends.
const fenced = true
