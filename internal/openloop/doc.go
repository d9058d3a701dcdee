// Package openloop puts load on workers the way the world does: each command has a time at which it is due, whether or not
// the earlier ones are answered, and its latency counts from that time. When the system pauses, every command that had to wait
// shows it, and not just the one that was under way (no coordinated omission).
//
//	doc.go, plan.go  how many commands, when, for how long
//	run.go, pace*.go the loop that sends each when it is due
//	tally.go         the latencies, in HDR histograms
//	report.go        what came of it
//	load.go          which commands: aggregates, a hot one, a template for the data
//	sender.go, flight.go, answer.go   how they travel: over NATS, without waiting, again where no answer comes
//
// In come a plan and commands, out goes a report. It starts no servers and prints nothing.
package openloop
