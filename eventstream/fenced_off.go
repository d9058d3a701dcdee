//go:build maestro_unfenced_stream

package eventstream

// This build has no fence, so that tests/faults can prove that it finds what then goes wrong.
const fenced = false
