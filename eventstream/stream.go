package eventstream

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/maestro-es/maestro/internal/stream"
	"github.com/maestro-es/maestro/internal/wire"
)

// StreamConfig says what a namespace's event stream keeps. Postgres is the archive. The stream
// need only hold the events that its subscribers have yet to read.
type StreamConfig struct {
	// Replicas is the number of servers that hold the stream. 0 keeps the number that the stream has,
	// and means 1 for a new stream.
	Replicas int
	// MaxAge and MaxBytes are limits at which the stream drops its oldest events. 0 keeps the limit
	// that the stream has, and means no limit for a new stream. A value below 0 means no limit.
	MaxAge   time.Duration
	MaxBytes int64
}

func (c StreamConfig) limits() stream.Limits {
	return stream.Limits{Replicas: c.Replicas, MaxAge: c.MaxAge, MaxBytes: c.MaxBytes}
}

// duplicateWindow is how long the server remembers message ids. It is short because the server
// keeps all ids of the window in memory. Exactly-once publishing rests on the fence and on
// resuming, not on these ids.
const duplicateWindow = time.Second

// Ensure creates the namespace's event stream, or brings its configuration up to date. It leaves
// direct reads off: any replica may answer them, also one that lags behind, but publishers must
// know exactly what the stream has.
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

// forgetting is how much later than its window says the server may forget message ids. The
// server's timer still runs with the window from before the last change of the configuration. That
// window was ten seconds in streams of an earlier build.
const forgetting = 10 * time.Second

// Empty shuts out everybody who may still publish, and removes all events. The server silently
// drops an event that is published again while it remembers the event's message id, even if the
// event has been removed. Empty therefore first waits until the last message is old enough to be
// forgotten.
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
