package workercmd

import (
	"context"
	"errors"
	"fmt"

	"github.com/maestro-es/maestro/admin"
)

// republishCommand is `worker republish`.
type republishCommand struct{ order }

// Help is shown by --help below the usage.
func (*republishCommand) Help() string {
	return `Empties the event stream and publishes the whole log anew, in order. Subscribers see every event again. The limits of the
stream stay as they are. Where something was published in the last ten seconds, it waits until the server has forgotten that, for
it would take the events for repetitions.

No worker starts until it has finished. Interrupted, run it again: it begins anew.

Examples:
  worker republish --database-url postgres://maestro@db/orders --nats-url nats://nats:4222`
}

// Run rebuilds the event stream.
func (r *republishCommand) Run(ctx context.Context) error {
	if r.DatabaseURL == memoryURL {
		return errors.New("the in-memory store ends with its worker: there is nothing to republish from")
	}
	return r.give(ctx, func(ctx context.Context, c admin.Config) error {
		events, err := admin.Republish(ctx, c)
		if err == nil {
			fmt.Printf("%d events are in the stream\n", events)
		}
		return err
	}, "interrupted before the stream was complete: run worker republish again. No worker starts until it has finished")
}
