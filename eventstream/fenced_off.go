//go:build maestro_unfenced_stream

package eventstream

// Without the fence tests/faults has to find what goes wrong.
const fenced = false
