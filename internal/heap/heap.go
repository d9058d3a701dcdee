// Package heap keeps Go's collector from running all the time in a program that keeps little and allocates much.
//
// The collector starts when the heap has doubled. A worker whose aggregates take a few megabytes reaches that many times a second,
// spends a fifth of its time on collecting, and whoever sends a command meanwhile waits for it. With GOGC raised instead, one that keeps
// hundreds of megabytes would take several times as much.
package heap

import (
	"runtime/debug"
	"sync/atomic"
)

var reserved atomic.Pointer[[]byte]

// Reserve has the collector count so many bytes as in use, so that it starts when that much and as much again as lives was allocated. They
// are never touched: the operating system gives no memory for them. GOGC and GOMEMLIMIT work as ever; no more than a quarter of the
// limit is reserved.
func Reserve(bytes int64) {
	reserve := make([]byte, max(0, min(bytes, debug.SetMemoryLimit(-1)/4)))
	reserved.Store(&reserve)
}

// Reserved is how many bytes are.
func Reserved() int64 {
	if reserve := reserved.Load(); reserve != nil {
		return int64(len(*reserve))
	}
	return 0
}
