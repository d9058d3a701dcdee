//go:build maestro_hlcdeadline

package lane

import (
	"time"

	"github.com/maestro-es/maestro/internal/hlc"
)

// This build compares deadlines with the time of events, to prove that the tests notice.
func forDeadlines(at hlc.Reading) time.Time { return at.Time }
