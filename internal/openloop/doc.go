// Package openloop puts load on workers the way the world does. Each command has a time at which it
// is due, whether or not the earlier commands are answered. Its latency counts from that time. When
// the system pauses, every command that had to wait shows the pause, and not only the command that
// was under way (no coordinated omission).
//
//	doc.go, plan.go  how many commands, when, for how long
//	run.go, pace*.go the loop that sends each when it is due
//	tally.go         the latencies, in HDR histograms
//	report.go        the result
//	load.go          which commands: aggregates, a hot one, a template for the data
//	sender.go, flight.go, answer.go   their way over NATS: no waiting, again without an answer
//
// A plan and commands come in. A report goes out. The package starts no servers and prints nothing.
package openloop
