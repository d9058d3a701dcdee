// Package storetest is the conformance suite of event logs. It tests what every store.Store must
// do.
package storetest
