// Package telemetry holds what the parts of Maestro share to be traced: the trace context in
// headers, always in the W3C form whatever the program's own propagator is, and the names of spans
// and metrics.
//
// Libraries record through OpenTelemetry's API alone. Package recording sets programs up; without
// it, recording costs next to nothing.
package telemetry
