// Package protocol is what a worker answers, as Go types: the outcome of a command, with the reason
// where the command was refused, and the codes of such reasons. Their JSON is the contract with
// clients of every language, which docs/protocol.md tells in full.
//
// The package does nothing and depends on nothing but the standard library, so a program that only
// sends commands stays small.
package protocol
