// Package eventstream carries committed events from the log to a JetStream stream, and from there
// to Go programs.
//
// A [Publisher] takes the committed events of one partition and publishes them in the order of
// their positions, each once, whatever crashes. It resumes after the last event that the stream
// has. A fence in the stream refuses a publisher that has been replaced. Events that do not fit
// into memory are read from the log, so a stream that is away holds up nobody.
//
// [Subscribe] is the other end: a durable subscription for programs downstream.
//
// The package never publishes an event that is not committed, and decides nothing.
package eventstream
