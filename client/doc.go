// Package client sends commands to Maestro's workers over NATS and reads aggregates from them.
//
// In come commands; out go outcomes, states and histories. There are three ways to send one:
//
//   - [Client.Send] returns when the command is stored in the durable stream: it will be handled, whatever happens.
//   - [Client.SendAndWait] does the same and waits for the outcome.
//   - [Client.Request] asks a worker directly. Its commit is the only thing that makes the command last.
//
// [Client.Import] sends many, in order. All of them may be repeated with the same command id: a command takes effect
// once, and the repetition is answered with the first outcome, marked as a duplicate.
//
// A rejected or failed command is an outcome, not an error of the call; [Err] turns it into one.
//
// The package knows subjects and headers only. It never touches the database, and keeps nothing between calls.
package client
