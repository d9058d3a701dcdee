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

// Config is the configuration of lanes. Aggregates and Logger are required. All other fields have
// defaults.
type Config struct {
	Aggregates  []aggregate.Type
	Projections []*projections.Projection
	// CacheBytes is the memory for aggregates kept for the next command. Default 256 MiB.
	CacheBytes int64
	// CacheIdle is the time after which an aggregate that nobody has asked for is dropped. With the
	// default 0, aggregates are dropped only when the memory is needed.
	CacheIdle time.Duration
	// IntakeBytes bounds the commands that wait or are in hand. ReadBytes bounds the histories that
	// are read at a time and the snapshots that wait to be stored. Default 128 MiB each; negative
	// for no limit.
	IntakeBytes, ReadBytes int64
	// MaxBatch is the most commands in a transaction. Default 256.
	MaxBatch int
	Logger   *slog.Logger
}

// Lanes returns the configuration that all lanes share. The caller sets Store and Snapshots.
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

// MaxEventBytes returns the largest body of an event if messages have at most maxPayload bytes; 0
// means the server's default, 1 MiB. The body must be smaller than the message, because the message
// also holds the event's headers and subject.
func MaxEventBytes(maxPayload int64) int {
	const headroom = 8 << 10
	return max(0, int(cmp.Or(maxPayload, 1<<20))-headroom)
}
