// Package engine holds the code that a worker and a repository share.
//
// It sets the defaults of lanes, configures them, and sets up and compares the read models that are
// kept in the committing transaction. It wires nothing and runs nothing.
package engine
