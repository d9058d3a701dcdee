// Package aggregatetest tests aggregates without any server.
//
//   - [For] plays one history in Go: given events, when a command, then events, a rejection or a
//     state.
//   - [Golden] plays the histories of text files. People can read the files, and the test flag
//     -update rewrites them.
//   - [Any] sends random commands, and shows the shortest history that breaks a rule of yours.
//   - [Sound] finds mistakes that any definition can have, before a worker does.
//
// Everything passes through JSON as it does in a worker, so a test sees what a replay would see.
package aggregatetest
