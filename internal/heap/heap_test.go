package heap

import (
	"runtime"
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/require"
)

// collections returns how often the collector runs while the given number of bytes are allocated
// and dropped.
func collections(bytes int) int {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for range bytes >> 10 {
		garbage = make([]byte, 1<<10)
	}
	runtime.ReadMemStats(&after)
	return int(after.NumGC - before.NumGC)
}

var garbage []byte

func TestAReserveMakesCollectionsRare(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	const reserve, much = 64 << 20, 1 << 30
	often := collections(much)
	Reserve(reserve)
	defer reserved.Store(nil)
	seldom := collections(much)
	require.LessOrEqual(t, seldom, much/reserve+1)
	require.Less(t, seldom, often)
}

func TestALimitLeavesRoom(t *testing.T) {
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(400 << 20))
	Reserve(256 << 20)
	defer reserved.Store(nil)
	require.EqualValues(t, 100<<20, Reserved())
	Reserve(-1) // other code reports this mistake
	require.Zero(t, Reserved())
}
