// Package lane handles the commands of one partition, one after the other.
//
// In come commands and reads, from wherever; out go outcomes, after their commit, and the committed events to a
// publisher. A lane takes what is waiting as a batch, evaluates it in memory, commits it in one transaction and answers.
// When a commit is refused it finds out why, mends that and evaluates anew, so that every command gets an outcome and none
// takes another down with it.
//
// A lane works for whoever holds the partition's epoch. It does not know NATS; it never publishes and never decides who
// owns a partition.
package lane
