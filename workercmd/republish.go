package workercmd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/maestro-es/maestro"
)

// republishCommand is `worker republish`.
type republishCommand struct {
	database
	broker
	Replicas int `env:"MAESTRO_REPLICAS" placeholder:"N" help:"Servers that hold the stream. Default: as many as do."`
}

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
	logger := slog.New(slog.NewTextHandler(os.Stderr, nil))
	nc, err := r.broker.connect(logger)
	if err != nil {
		return err
	}
	defer nc.Close()
	pool, err := r.database.connect(ctx)
	if err != nil {
		return err
	}
	defer pool.Close()
	config := maestro.Config{NATS: nc, Database: pool, Namespace: r.Namespace, Partitions: r.Partitions, Logger: logger}
	config.Events.Replicas = r.Replicas
	events, err := maestro.Republish(ctx, config)
	if ctx.Err() != nil {
		return errors.New("interrupted before the stream was complete: run worker republish again. No worker starts until it has finished")
	}
	if err != nil {
		return err
	}
	fmt.Printf("%d events are in the stream\n", events)
	return nil
}
