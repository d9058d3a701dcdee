// Package hostile is user code with every bad habit that a worker must survive. It has an aggregate
// and read models that panic, block, lie, write what they must not, and end transactions that are
// not theirs.
//
// The tables are a living list. Each entry has a name, the code, and the outcome that its command
// must have. A new kind of trouble gets an entry here. The tests of this folder check the
// guarantees of docs/guarantees.md with every entry:
//
//	ledger.go      the aggregate, with good commands and those that misbehave
//	deciding.go    habits of Decide and Evolve
//	encoding.go    habits of what is stored: sizes, shapes, text that is no text
//	models.go      the read models: a good one, and those that misbehave
//	transaction.go habits with the transaction in hand: what ends, divides or breaks it
//	session.go     habits with the transaction in hand: what outlives it
//	errors.go      habits with the transaction in hand: errors and what holds others up
//	queueing.go    habits of queued SQL
//	trials.go      each habit with its command
//
// Code that ends the process (os.Exit, a panic in a goroutine of the user's, a stack overflow, an
// unsynchronised map) is not here, because nothing inside the process can survive it.
package hostile
