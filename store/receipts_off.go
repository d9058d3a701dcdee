//go:build maestro_unreceipted

package store

// Without receipts tests/faults has to find what goes wrong.
const keepsReceipts = false
