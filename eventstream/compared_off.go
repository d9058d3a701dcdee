//go:build maestro_uncompared

package eventstream

// This build does not compare them, so that tests/faults can prove that it finds what then goes
// wrong.
const compared = false
