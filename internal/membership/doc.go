// Package membership is how the workers of a namespace know each other and share out the partitions.
//
// Each worker tells the others ten times a second what it owns, over core NATS; one that falls silent is asked directly, and a
// process that was killed is known to be gone as soon as the server answers for it. From the same view every worker
// computes the same assignment with [Assign], so nobody has to lead.
//
// Views may differ for a moment and two workers may then want the same partition. That costs a change of owner and nothing
// else: the truth is the epoch in the store, and the package keeps no lock of its own.
package membership
