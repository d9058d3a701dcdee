// Package lane handles the commands of one partition, one after the other.
//
// In: commands and reads. Out: outcomes after their commit, and the committed events for a
// publisher. A lane takes what is waiting as a batch, evaluates it in memory, commits it in one
// transaction and answers. If a commit is refused, the lane finds the reason, removes it and
// evaluates again. So every command gets an outcome, and no command makes another one fail.
//
// A lane works for the owner of the partition's epoch. It does not know NATS, never publishes, and
// never decides who owns a partition.
package lane
