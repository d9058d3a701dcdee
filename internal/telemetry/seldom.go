package telemetry

import (
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/maestro-es/maestro/internal/monotonic"
)

// Seldom keeps log lines about single messages from filling the log. The zero value is ready to
// use. It is safe for concurrent use.
type Seldom struct {
	last atomic.Int64 // as [monotonic.Now], 0 for never
}

// seldomEvery is how often a line keeps its level.
const seldomEvery = 10 * time.Second

// Level returns the level for a line: the given level once every ten seconds, debug in between.
func (s *Seldom) Level(level slog.Level) slog.Level {
	last, now := s.last.Load(), int64(monotonic.Now())
	if last != 0 && now-last < int64(seldomEvery) || !s.last.CompareAndSwap(last, now) {
		return slog.LevelDebug
	}
	return level
}
