// Package ownership decides which partitions this worker owns, and runs the duties of each owned
// partition.
//
// In: the other workers of the namespace, through the roster, and the partition rows of the log.
// Out: a lane for each owned partition, and its [Tenure], which is given to a list of duties. The
// package does not know commands, messages, or what a duty does.
package ownership
