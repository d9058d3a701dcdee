// Package telemetry holds what the parts of Maestro share for tracing: the trace context in
// headers, and the names of spans and metrics. The headers always have the W3C form, whatever the
// program's own propagator is.
//
// Libraries record through OpenTelemetry's API alone. Package recording sets programs up. Without
// that package, recording costs next to nothing.
package telemetry
