// Package storetest is the conformance suite of event logs: what every store.Store must do.
package storetest
