// Package ownership decides which partitions this worker owns, and runs what is to be done for each
// of them while it does.
//
// The other workers of the namespace come in, by the roster, and the rows of the log. A lane for
// each partition that is owned goes out, and its [Tenure] to a list of duties. The package knows
// nothing of commands and their messages, and not what a duty does.
package ownership
