// Package api answers the requests that clients send to NATS micro endpoints: for a command's
// outcome, an aggregate's state and its history.
//
// A request comes in at any worker. If this worker owns the aggregate's partition, the request goes
// to the partition's lane. Otherwise it is forwarded to the owner, or waits for an owner. Answers
// go directly to the client. The package evaluates nothing, and does not decide which worker owns a
// partition.
package api
