// Package client sends commands to Maestro's workers over NATS and reads aggregates from them.
//
// Commands come in. Outcomes, states and histories go out. There are three ways to send a command:
//
//   - [Client.Send] returns when the command is stored in the durable stream. The command will be
//     handled, whatever happens.
//   - [Client.SendAndWait] does the same and waits for the outcome.
//   - [Client.Request] asks a worker directly. Only the worker's commit makes the command durable.
//
// [Client.Import] sends many commands, in order. Every command may be sent again with the same id.
// It takes effect once, and the repetition is answered with the first outcome, marked as a
// duplicate.
//
// A rejected or failed command is an outcome, not an error of the call. [Err] turns such an
// outcome into an error.
//
// The package knows only subjects and headers. It never touches the database, and keeps nothing
// between calls.
package client
