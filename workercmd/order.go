package workercmd

import (
	"context"
	"errors"
	"log/slog"
	"os"

	"github.com/maestro-es/maestro/admin"
)

// order has the flags of the operator's commands that work on both servers while no worker runs.
type order struct {
	database
	broker
	Replicas int `env:"MAESTRO_REPLICAS" placeholder:"N" help:"Servers that hold each stream. Default: as many as do."`
}

// give connects to both servers and calls carryOut. If that is interrupted, the error says so, and
// how to go on.
func (o order) give(ctx context.Context, carryOut func(context.Context, admin.Config) error, interrupted string) error {
	logger := slog.New(slog.NewTextHandler(os.Stderr, nil))
	nc, err := o.broker.connect(logger)
	if err != nil {
		return err
	}
	defer nc.Close()
	pool, err := o.database.connect(ctx)
	if err != nil {
		return err
	}
	defer pool.Close()
	config := admin.Config{NATS: nc, Database: pool, Namespace: o.Namespace, Partitions: o.Partitions, Logger: logger}
	config.Commands.Replicas, config.Events.Replicas = o.Replicas, o.Replicas
	err = carryOut(ctx, config)
	if err != nil && ctx.Err() != nil {
		return errors.New(interrupted)
	}
	return err
}
