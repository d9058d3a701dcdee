//go:build !maestro_hlcdeadline

package lane

import (
	"time"

	"github.com/maestro-es/maestro/internal/hlc"
)

// forDeadlines returns the time to compare with a command's deadline: the machine's time. The time
// of events does not fit, because it may stay ahead after another machine's clock was ahead.
func forDeadlines(at hlc.Reading) time.Time { return at.Wall }
