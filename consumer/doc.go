// Package consumer brings commands in from NATS.
//
// A [Consumer] acquires partitions and runs a lane for each. Durable commands come from the JetStream command stream, read
// from the cursor that the lane commits with its events; requests for an outcome, a state or a history come through NATS micro
// endpoints. Outcomes go back to whoever asked.
//
// Nothing is acknowledged to JetStream: what has been handled is what Postgres says has been handled. The package evaluates
// nothing itself and publishes no event.
package consumer
