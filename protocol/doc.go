// Package protocol holds a worker's answers as Go types: the outcome of a command, the reason if
// the command was refused, and the codes of such reasons. Their JSON is the contract with clients
// of every language. docs/protocol.md describes the contract in full.
//
// The package does nothing and depends only on the standard library, so a program that only sends
// commands stays small.
package protocol
