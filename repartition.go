package maestro

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/maestro-es/maestro/consumer"
	"github.com/maestro-es/maestro/internal/wire"
	"github.com/maestro-es/maestro/store"
)

// Repartition changes the number of partitions of a namespace, and returns how many events were published anew: each event
// has a new place, so the event stream is built again. See [store.Repartition] for what becomes of the log.
//
// It refuses while workers run, and while the command stream holds commands that are not handled: publishers are to stop
// first, then the workers. From then on the command stream takes no commands, and publishers find nobody there (client.Send tries
// again for as long as its context lasts). It opens again when the log has moved, or when a worker starts after all.
//
// When it is interrupted before the log has moved, nothing has happened; after that, no worker starts until Repartition was
// called again and has finished. Config.Partitions is not looked at; what Config.Commands and Config.Events leave open stays as the
// streams have it.
func Repartition(ctx context.Context, c Config, partitions int) (events int64, err error) {
	c = withDefaults(c)
	r := repartition{Config: c, namespace: wire.Namespace(c.Namespace)}
	if err := r.check(partitions); err != nil {
		return 0, err
	}
	if r.js, err = jetstream.New(c.NATS, operator); err != nil {
		return 0, fmt.Errorf("use JetStream: %w", err)
	}
	err = store.Repartition(ctx, c.Database, store.Options{Namespace: c.Namespace, Partitions: partitions}, r.drain, r.rebuild)
	return r.events, err
}

// repartition is what happens in NATS when the number of partitions changes.
type repartition struct {
	Config
	namespace wire.Namespace
	js        jetstream.JetStream
	events    int64
}

func (r *repartition) check(partitions int) error {
	errs := []error{checkServers(r.Config)}
	if partitions < 1 || partitions > maxPartitions {
		errs = append(errs, fmt.Errorf("%d partitions: expected 1 to %d", partitions, maxPartitions))
	}
	return errors.Join(errs...)
}

// drain closes the command stream, if nobody works and everything in it is handled.
func (r *repartition) drain(ctx context.Context, log *store.Postgres) error {
	if err := nobodyWorks(ctx, r.NATS, r.namespace); err != nil {
		return err
	}
	waiting, err := consumer.CloseStream(ctx, r.js, r.namespace, log, r.Logger)
	if err != nil || waiting == 0 {
		return err
	}
	err = fmt.Errorf("%d commands wait in %s: stop the publishers, start a worker until it has handled them, stop it, and try again",
		waiting, r.namespace.CommandStream())
	return errors.Join(err, consumer.EnsureStream(ctx, r.js, r.namespace, log.Partitions(), r.Commands))
}

// rebuild opens the command stream for the new partitions and publishes the log as it is now.
func (r *repartition) rebuild(ctx context.Context, log *store.Postgres) error {
	if err := consumer.EnsureStream(ctx, r.js, r.namespace, log.Partitions(), r.Commands); err != nil {
		return err
	}
	rows, err := log.Rows(ctx)
	if err != nil {
		return err
	}
	r.events, err = publishAnew(ctx, r.Config, r.js, log, rows)
	return err
}
