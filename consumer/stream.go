package consumer

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/maestro-es/maestro/internal/stream"
	"github.com/maestro-es/maestro/internal/wire"
)

// StreamConfig is the configuration of a namespace's command stream.
type StreamConfig struct {
	// Replicas is the number of servers that hold the stream. 0 keeps the stream's present value; a
	// new stream gets 1.
	Replicas int
	// MaxBytes is the size at which the stream refuses more commands with an error. 0 keeps the
	// stream's present value; a new stream gets no limit. A negative value means no limit.
	MaxBytes int64
}

func (c StreamConfig) limits() stream.Limits {
	return stream.Limits{Replicas: c.Replicas, MaxBytes: c.MaxBytes, MaxAge: -1} // a command is never too old
}

// duplicateWindow is how long the server remembers message ids. It spares the worker most of the
// commands that impatient clients send twice; receipts catch the rest. It is short because the
// server keeps every id of the window in memory.
const duplicateWindow = 30 * time.Second

// maxConsumers replaces nats-server's 1,000. Each partition has a consumer, and the consumers of
// killed workers stay for a while. If the limit is reached, partitions that change owner get no
// more commands.
const maxConsumers = 100_000

// EnsureStream creates the namespace's command stream, or brings its configuration up to date.
func EnsureStream(ctx context.Context, js jetstream.JetStream, ns wire.Namespace, partitions int, c StreamConfig) error {
	_, err := stream.Ensure(ctx, js, neededStream(ns, partitions), c.limits())
	if err != nil {
		return fmt.Errorf("create the command stream %s: %w", ns.CommandStream(), err)
	}
	return nil
}

// neededStream returns the configuration that the command stream must have.
func neededStream(ns wire.Namespace, partitions int) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:        ns.CommandStream(),
		Description: "Commands of the Maestro namespace " + string(ns),
		Subjects:    []string{ns.Commands()},
		SubjectTransform: &jetstream.SubjectTransformConfig{
			Source: ns.Commands(), Destination: ns.CommandTransform(partitions)},
		Discard:           jetstream.DiscardNew,
		Duplicates:        duplicateWindow,
		AllowBatchPublish: true,
		MaxConsumers:      maxConsumers,
	}
}
