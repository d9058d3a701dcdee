// Package engine is what a worker and a repository have in common.
//
// It sets the defaults of lanes, configures them, and sets up and compares the read models that are
// kept in the committing transaction. It wires nothing and runs nothing.
package engine
