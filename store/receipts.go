//go:build !maestro_unreceipted

package store

// keepsReceipts says that commands leave receipts, by which they are recognised when they come
// again.
const keepsReceipts = true
