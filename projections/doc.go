// Package projections makes read models from events.
//
// A projection writes in the same transaction that commits the events. Its tables therefore agree
// with the log at every instant. If a projection fails on an event, the command that led to the
// event is refused, and only that command. [Define] makes a projection from handlers, for the
// events of one aggregate type or of several. There are three forms of handlers:
//
//   - [Queue] queues SQL for each event. The SQL is sent together with the commit. This form is
//     the quickest to write and mostly the quickest to run.
//   - [Each] gets the transaction for each event, so it can read before it writes, and refuse.
//   - [Batch] gets the transaction for all events of a commit at once.
//
// The tables of a projection are in a schema of their own. Readers find views of them in the
// schema <namespace>_read.
//
// Events that are about to be committed come in, and rows of the user go out. The package opens no
// transaction of its own and never sees a broker.
package projections
