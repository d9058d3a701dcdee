// Package message is a command as a message of NATS, and what is answered.
//
// Messages come in, of the command stream and of requests; commands for a lane go out, each with
// the span of its way, and refused where the message cannot be a command. [Answers] sends outcomes
// and errors back to whoever asked. The package routes nothing and evaluates nothing.
package message
