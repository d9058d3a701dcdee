//go:build maestro_clock

package hlc

import (
	"os"
	"strings"
	"sync"
	"time"
)

// wallAt returns the machine's time moved by a duration, as tests/faults needs it. The environment
// variable MAESTRO_CLOCK_OFFSET names a file that holds the duration. The file is read again and
// again, so the clock can jump.
func wallAt(t time.Time) time.Time { return t.Round(0).Add(moved.at(t)) }

var moved movement

type movement struct {
	mu   sync.Mutex
	read time.Time
	by   time.Duration
}

func (m *movement) at(t time.Time) time.Duration {
	const every = 10 * time.Millisecond
	m.mu.Lock()
	defer m.mu.Unlock()
	if t.Sub(m.read) < every {
		return m.by
	}
	m.read = t
	if text, err := os.ReadFile(os.Getenv("MAESTRO_CLOCK_OFFSET")); err == nil {
		if by, err := time.ParseDuration(strings.TrimSpace(string(text))); err == nil {
			m.by = by
		}
	}
	return m.by
}
