// Package projections makes read models from events.
//
// A projection made with [InTransaction] writes in the very transaction that commits the events, so that its tables agree with
// the log at every instant. One that fails refuses the command whose event it could not take, and that command alone.
//
// In come committed-to-be events with the transaction in hand, out go the user's rows. The package opens no transaction
// of its own and never sees a broker.
package projections
