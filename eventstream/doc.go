// Package eventstream carries committed events out: from the log to a JetStream stream, and from there to Go programs.
//
// A [Publisher] takes the committed events of one partition and publishes them in the order of their positions, each once,
// whoever crashes: it resumes after the last event that the stream has, and a fence in the stream refuses a publisher
// that has been replaced. What it has no room for in memory it reads from the log, so a stream that is away holds up nobody.
//
// [Subscribe] is the other end: a durable subscription for programs downstream.
//
// The package never publishes what is not committed, and decides nothing.
package eventstream
