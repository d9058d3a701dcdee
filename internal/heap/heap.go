// Package heap keeps Go's garbage collector from running all the time in a program that keeps
// little memory and allocates much.
//
// The collector starts when the heap has doubled. In a worker whose aggregates take a few megabytes
// this happens many times a second. Such a worker spends a fifth of its time on collecting, and
// commands wait meanwhile. A higher GOGC is no solution, because a worker that keeps hundreds of
// megabytes would then take several times as much memory.
package heap

import (
	"runtime/debug"
	"sync/atomic"
)

var reserved atomic.Pointer[[]byte]

// Reserve adds the given bytes as ballast, so that the collector runs after (live + bytes) of
// allocation instead of (live). The ballast is never touched, so the operating system gives no
// memory for it. GOGC and GOMEMLIMIT work as usual. Reserve reserves at most a quarter of the
// memory limit.
func Reserve(bytes int64) {
	reserve := make([]byte, max(0, min(bytes, debug.SetMemoryLimit(-1)/4)))
	reserved.Store(&reserve)
}

// Reserved returns how many bytes are reserved.
func Reserved() int64 {
	if reserve := reserved.Load(); reserve != nil {
		return int64(len(*reserve))
	}
	return 0
}
