// Package telemetry holds what the parts of Maestro share to be traced: the trace context in headers, always in the W3C form
// whatever the program's own propagator is, and the set-up that the commands use.
//
// Libraries record through OpenTelemetry's API alone; without a set-up that costs next to nothing.
package telemetry
