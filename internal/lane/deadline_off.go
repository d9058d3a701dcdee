//go:build maestro_hlcdeadline

package lane

import (
	"time"

	"github.com/maestro-es/maestro/internal/hlc"
)

// With the time of events the tests have to find what goes wrong.
func forDeadlines(at hlc.Reading) time.Time { return at.Time }
