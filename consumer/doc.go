// Package consumer brings commands in from NATS.
//
// A [Consumer] reads the durable commands of the partitions that this worker owns from the JetStream
// command stream, beginning at the cursor that the lane commits with its events. It keeps that
// stream: its configuration, what is stranded in it, what has been handled. Requests come in
// through internal/api, and internal/ownership says which partitions are this worker's; the
// Consumer runs both beside the stream. Outcomes go back to whoever asked.
//
// Nothing is acknowledged to JetStream: what has been handled is what Postgres says has been
// handled. The package evaluates nothing and publishes no event.
package consumer
