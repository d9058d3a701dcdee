//go:build !maestro_clock

package hlc

import "time"

// wallAt is what the machine's clock says at a moment.
func wallAt(t time.Time) time.Time { return t }
