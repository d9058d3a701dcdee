package workercmd

import (
	"context"
	"errors"
	"fmt"

	"github.com/maestro-es/maestro/admin"
)

// repartitionCommand is `worker repartition`.
type repartitionCommand struct{ order }

// Help is shown by --help below the usage.
func (*repartitionCommand) Help() string {
	return `Changes the number of partitions of a namespace that exists to --partitions. Stop the publishers first, let the workers handle
what waits in the command stream, then stop them too: it refuses otherwise. All events get new positions, so the event stream is
built anew and subscribers see every event again. Postgres needs room for the log two times more.

Interrupted before the log has moved it has changed nothing. After that, run it again: until it has finished no worker starts.

Examples:
  worker repartition --partitions 256 --database-url postgres://maestro@db/orders --nats-url nats://nats:4222`
}

// Run changes the number of partitions.
func (r *repartitionCommand) Run(ctx context.Context) error {
	if r.DatabaseURL == memoryURL {
		return errors.New("the in-memory store ends with its worker: give the next one the number of --partitions")
	}
	if r.Partitions == 0 {
		return errors.New("say how many partitions the namespace is to have: --partitions N (MAESTRO_PARTITIONS)")
	}
	return r.give(ctx, func(ctx context.Context, c admin.Config) error {
		events, err := admin.Repartition(ctx, c, r.Partitions)
		if err == nil {
			fmt.Printf("namespace %q has %d partitions; %d events were published anew\n", r.Namespace, r.Partitions, events)
		}
		return err
	}, "interrupted: run worker repartition again to go on. A worker says at its start if it has to wait for that")
}
