// Package message converts NATS messages to commands, and sends the answers.
//
// In: messages of the command stream, and requests. Out: commands for a lane, each with its span. A
// message that is not a valid command becomes a refused command. [Answers] sends outcomes and
// errors to the clients. The package routes nothing and evaluates nothing.
package message
