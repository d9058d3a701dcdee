// Package admin is what an operator does to a whole namespace while no worker runs.
//
// An order comes in: [Republish] builds the event stream anew from the log, [Repartition] changes
// the number of partitions. While one of them is under way, a mark in the settings of the namespace
// keeps workers out. When it was interrupted the mark stays, and the same order, given again,
// finishes what was begun.
//
// The package never works beside a worker: it asks first whether one answers, and refuses.
package admin
