// Package admin has the orders that an operator gives to a whole namespace while no worker runs.
//
// [Republish] rebuilds the event stream from the log. [Repartition] changes the number of
// partitions. While an order is under way, a mark in the settings of the namespace keeps workers
// out. If the order is interrupted, the mark stays. Give the same order again to finish it.
//
// The package never works beside a worker. It first asks whether a worker answers, and refuses if
// one does.
package admin
