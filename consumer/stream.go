package consumer

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/maestro-es/maestro/internal/wire"
)

// StreamConfig is how a namespace's command stream is kept.
type StreamConfig struct {
	// Replicas is the number of servers that hold the stream; 0 stands for 1.
	Replicas int
	// MaxBytes is where the stream refuses more commands with an error; 0 leaves it to the server's limits.
	MaxBytes int64
}

// duplicateWindow is how long the server remembers message ids. It spares the worker most of what impatient clients send
// twice; receipts do the rest. The server keeps every id of the window in memory.
const duplicateWindow = 30 * time.Second

// maxConsumers is in place of nats-server's 1,000: each partition has a consumer, and those of killed workers stay for a while.
// When the limit is reached, partitions that change owner get no more commands.
const maxConsumers = 100_000

// EnsureStream creates the namespace's command stream, or brings its configuration up to date.
func EnsureStream(ctx context.Context, js jetstream.JetStream, ns wire.Namespace, partitions int, c StreamConfig) error {
	maxBytes := c.MaxBytes
	if maxBytes == 0 {
		maxBytes = -1
	}
	_, err := js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name:        ns.CommandStream(),
		Description: "Commands of the Maestro namespace " + string(ns),
		Subjects:    []string{ns.Commands()},
		SubjectTransform: &jetstream.SubjectTransformConfig{
			Source: ns.Commands(), Destination: ns.CommandTransform(partitions)},
		Replicas:          max(c.Replicas, 1),
		MaxBytes:          maxBytes,
		Discard:           jetstream.DiscardNew,
		Duplicates:        duplicateWindow,
		AllowBatchPublish: true,
		MaxConsumers:      maxConsumers,
	})
	if err != nil {
		return fmt.Errorf("create the command stream %s: %w", ns.CommandStream(), err)
	}
	return nil
}
