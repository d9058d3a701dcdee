// Package monotonic gives moments as numbers that can be stored and compared, whatever the
// machine's wall clock does in between. A [time.Time] also compares well, but not after it was
// turned into a number.
package monotonic

import "time"

var began = time.Now()

// Now is the time since this process began. It never goes back, and is never 0.
func Now() time.Duration { return time.Since(began) + 1 }

// Since is the time since an earlier moment.
func Since(then time.Duration) time.Duration { return Now() - then }
