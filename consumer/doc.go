// Package consumer brings commands in from NATS.
//
// A [Consumer] reads the durable commands of the partitions that this worker owns from the
// JetStream command stream, beginning at the cursor that the lane commits with its events. It
// maintains that stream: it keeps its configuration, restores stranded commands and removes handled
// ones. Requests come in through internal/api, and internal/ownership decides which partitions this
// worker owns. The Consumer runs both beside the stream. Outcomes go back to the clients.
//
// Nothing is acknowledged to JetStream, because Postgres records which commands have been handled.
// The package evaluates nothing and publishes no event.
package consumer
