// Package aggregatetest tests aggregates without any server.
//
//   - [For] plays one history in Go: given events, when a command, then events, a rejection or a state.
//   - [Golden] plays the histories of text files that a person reads, and that the test flag -update rewrites.
//   - [Any] sends random commands, and shows the shortest history that breaks a rule of yours.
//   - [Sound] finds the mistakes that are common to all definitions, before a worker does.
//
// Everything passes through JSON as it does in a worker: what a test sees is what a replay would see.
package aggregatetest
