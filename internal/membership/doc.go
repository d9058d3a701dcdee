// Package membership lets the workers of a namespace know each other and divide the partitions.
//
// Each worker tells the others over core NATS ten times a second which partitions it owns. A worker
// that falls silent is asked directly; if its process was killed, the server says so at once. Every
// worker computes the same assignment from the same view with [Assign], so no leader is needed.
//
// Views may differ for a moment, and two workers may then want the same partition. That costs a
// change of owner and nothing else, because the epoch in the store decides. The package keeps no
// lock of its own.
package membership
