// Package projections makes read models from events.
//
// A projection writes in the very transaction that commits the events, so that its tables agree
// with the log at every instant. One that fails refuses the command whose event it could not take,
// and that command alone. [Define] makes one of handlers, for the events of one aggregate type or
// of several. There are three forms of handlers:
//
//   - [Queue] queues SQL for each event, which goes along with the commit. It is the quickest to write and mostly the quickest to run.
//   - [Each] has the transaction in hand for each event, so it can read before it writes, and refuse.
//   - [Batch] has the transaction in hand for all events of a commit at once.
//
// The tables of a projection are in a schema of their own, and readers find views of them in the
// schema <namespace>_read.
//
// In come committed-to-be events, out go the user's rows. The package opens no transaction of its
// own and never sees a broker.
package projections
