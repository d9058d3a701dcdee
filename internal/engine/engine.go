package engine

import (
	"cmp"
	"log/slog"
	"time"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/internal/hlc"
	"github.com/maestro-es/maestro/internal/lane"
	"github.com/maestro-es/maestro/projections"
)

// Config is what lanes are made from. Aggregates and Logger are required; the zero value of
// everything else is its default.
type Config struct {
	Aggregates  []aggregate.Type
	Projections []*projections.Projection
	// CacheBytes is the memory for aggregates that are kept for the next command. Default 256 MiB.
	CacheBytes int64
	// CacheIdle is the time after which an aggregate that nobody has asked for is let go. Default
	// 0: when the memory is needed.
	CacheIdle time.Duration
	// IntakeBytes bounds the commands that wait or are in hand, ReadBytes the histories that are
	// read at a time and the snapshots that wait to be stored. Default 128 MiB each; negative for no
	// limit.
	IntakeBytes, ReadBytes int64
	// MaxBatch is the most commands in a transaction. Default 256.
	MaxBatch int
	Logger   *slog.Logger
}

// Lanes is what all lanes have in common. Their Store and Snapshots are the caller's to set.
func Lanes(c Config) lane.Config {
	memory := lane.NewMemory(cmp.Or(c.CacheBytes, 256<<20), c.CacheIdle)
	l := lane.Config{
		Types: map[string]aggregate.Type{}, Clock: hlc.New(), Logger: c.Logger,
		Memory:        memory.Bounded(cmp.Or(c.IntakeBytes, 128<<20), cmp.Or(c.ReadBytes, 128<<20)),
		MaxBatch:      cmp.Or(c.MaxBatch, 256),
		MaxEventBytes: func() int { return MaxEventBytes(0) },
	}
	for _, a := range c.Aggregates {
		l.Types[a.Name()] = a
	}
	for _, p := range c.Projections {
		l.Projections = append(l.Projections, p)
	}
	return l
}

// MaxEventBytes is the largest body of an event where messages have at most so many bytes, or the
// server's default, 1 MiB, if that is 0. A message holds the event's headers and subject too.
func MaxEventBytes(maxPayload int64) int {
	const headroom = 8 << 10
	return max(0, int(cmp.Or(maxPayload, 1<<20))-headroom)
}
