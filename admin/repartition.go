package admin

import (
	"context"
	"errors"
	"fmt"

	"github.com/maestro-es/maestro/consumer"
	"github.com/maestro-es/maestro/internal/wire"
	"github.com/maestro-es/maestro/store"
)

// Repartition changes the number of partitions of a namespace. Each event gets a new place, so
// Repartition rebuilds the event stream, and returns how many events it published. See
// [store.Repartition] for the changes to the log.
//
// It refuses while workers run, and while the command stream holds unhandled commands. So stop the
// publishers first, then the workers. Once Repartition has begun, the command stream takes no
// commands, and publishers get no response (client.Send tries again for as long as its context
// lasts). The stream opens again when the log has moved, or if a worker starts before that.
//
// If Repartition is interrupted before the log has moved, nothing has changed. After that, a mark
// in the settings keeps workers out: no worker starts until Repartition is called again and has
// finished.
func Repartition(ctx context.Context, c Config, partitions int) (events int64, err error) {
	var wrong error
	if partitions < 1 || partitions > wire.MaxPartitions {
		wrong = fmt.Errorf("%d partitions: expected 1 to %d", partitions, wire.MaxPartitions)
	}
	o, err := newOrder(c, wrong)
	if err != nil {
		return 0, err
	}
	err = store.Repartition(ctx, c.Database, store.Options{Namespace: o.Namespace, Partitions: partitions}, o.drain,
		func(ctx context.Context, log *store.Postgres) (err error) {
			events, err = o.rebuild(ctx, log)
			return err
		})
	return events, err
}

// drain closes the command stream. It fails if a worker runs or the stream has unhandled commands.
func (o order) drain(ctx context.Context, log *store.Postgres) error {
	if err := o.nobodyWorks(ctx); err != nil {
		return err
	}
	waiting, err := consumer.CloseStream(ctx, o.js, o.namespace, log, o.Logger)
	if err != nil || waiting == 0 {
		return err
	}
	err = fmt.Errorf("%d commands wait in %s: stop the publishers, start a worker until it has handled them, stop it, and try again",
		waiting, o.namespace.CommandStream())
	return errors.Join(err, consumer.EnsureStream(ctx, o.js, o.namespace, log.Partitions(), o.Commands))
}

// rebuild opens the command stream for the new partitions and publishes the log as it is now.
func (o order) rebuild(ctx context.Context, log *store.Postgres) (events int64, err error) {
	if err := consumer.EnsureStream(ctx, o.js, o.namespace, log.Partitions(), o.Commands); err != nil {
		return 0, err
	}
	rows, err := log.Rows(ctx)
	if err != nil {
		return 0, err
	}
	return o.publish(ctx, log, rows)
}
