// Package monotonic tells moments that can be kept in a number and compared, whatever the machine's
// wall clock does in between. A [time.Time] compares well too, but not after it was a number.
package monotonic

import "time"

var began = time.Now()

// Now is the time since this process began. It never goes back, and is never 0.
func Now() time.Duration { return time.Since(began) + 1 }

// Since is the time since an earlier moment.
func Since(then time.Duration) time.Duration { return Now() - then }
