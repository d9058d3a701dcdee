// Package api answers the requests that clients send to NATS micro endpoints: for a command's
// outcome, an aggregate's state and its history.
//
// A request comes in at any worker. Where this worker owns the aggregate's partition, the request
// goes to its lane; otherwise it is sent on to the owner, or waits for one. Answers go directly to
// the client. The package evaluates nothing, and does not decide who owns what.
package api
