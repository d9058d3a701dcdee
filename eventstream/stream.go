package eventstream

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/maestro-es/maestro/internal/stream"
	"github.com/maestro-es/maestro/internal/wire"
)

// StreamConfig is what a namespace's event stream keeps. Postgres is the archive; the stream need
// only hold what its subscribers have yet to read.
type StreamConfig struct {
	// Replicas is the number of servers that hold the stream; 0 leaves what the stream has, 1 for a
	// new one.
	Replicas int
	// MaxAge and MaxBytes drop the oldest events; 0 leaves what the stream has, below 0 it keeps
	// all, as a new one does.
	MaxAge   time.Duration
	MaxBytes int64
}

func (c StreamConfig) limits() stream.Limits {
	return stream.Limits{Replicas: c.Replicas, MaxAge: c.MaxAge, MaxBytes: c.MaxBytes}
}

// duplicateWindow is how long the server remembers message ids. The fence and the resumption do the
// real work, and the server keeps every id of the window in memory, so it is short.
const duplicateWindow = time.Second

// Ensure creates the namespace's event stream, or brings its configuration up to date. Direct reads
// stay off: on a replicated stream any replica answers them, also one that lags behind, and
// publishers must know what is there.
func Ensure(ctx context.Context, js jetstream.JetStream, ns wire.Namespace, c StreamConfig) (jetstream.Stream, error) {
	made, err := stream.Ensure(ctx, js, jetstream.StreamConfig{
		Name:               ns.EventStream(),
		Description:        "Committed events of the Maestro namespace " + string(ns),
		Subjects:           []string{ns.Events(), ns.Fences()},
		Duplicates:         duplicateWindow,
		AllowRollup:        true,
		AllowBatchPublish:  true,
		AllowAtomicPublish: true,
	}, c.limits())
	if err != nil {
		return nil, fmt.Errorf("create the event stream %s: %w", ns.EventStream(), err)
	}
	return made, nil
}

// forgetting is how much later than it says the server may forget message ids: its timer runs as
// the window was before it was last changed, and that was ten seconds in streams of an earlier
// build.
const forgetting = 10 * time.Second

// Empty shuts out whoever may still publish, and removes all events. An event that is published
// again while the server remembers its message id would be dropped without a word, although it is
// not there any more; so Empty waits first until the last message is older than that.
func Empty(ctx context.Context, js jetstream.JetStream, stream jetstream.Stream, ns wire.Namespace) error {
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(ns.Fences()))
	if err != nil {
		return fmt.Errorf("event stream %s: %w", ns.EventStream(), err)
	}
	for subject := range info.State.Subjects {
		if _, err := raise(ctx, js, subject, "", 0); err != nil {
			return err
		}
	}
	select {
	case <-time.After(duplicateWindow + forgetting - info.TimeStamp.Sub(info.State.LastTime)):
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := stream.Purge(ctx, jetstream.WithPurgeSubject(ns.Events())); err != nil {
		return fmt.Errorf("empty the event stream %s: %w", ns.EventStream(), err)
	}
	return nil
}
