// Package heap keeps Go's collector from running all the time in a program that keeps little and allocates much.
//
// The collector starts when the heap has doubled. A worker whose aggregates take a few megabytes reaches that many times a second, and
// spends a fifth of its time on collecting. With GOGC raised instead, one that keeps hundreds of megabytes would take several times
// as much.
package heap

import "sync/atomic"

var reserved atomic.Pointer[[]byte]

// Reserve has the collector count so many bytes as in use, so that it starts when that much and as much again as lives was allocated. They
// are never touched: the operating system gives no memory for them. GOGC and GOMEMLIMIT work as ever.
func Reserve(bytes int) {
	reserve := make([]byte, bytes)
	reserved.Store(&reserve)
}
