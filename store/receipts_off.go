//go:build maestro_unreceipted

package store

// This build keeps no receipts, so that tests/faults can prove that it finds what then goes wrong.
const keepsReceipts = false
