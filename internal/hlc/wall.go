//go:build !maestro_clock

package hlc

import "time"

// wallAt returns the time of the machine's clock at a moment.
func wallAt(t time.Time) time.Time { return t }
