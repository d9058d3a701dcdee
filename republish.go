package maestro

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nats.go/micro"

	"github.com/maestro-es/maestro/eventstream"
	"github.com/maestro-es/maestro/internal/wire"
	"github.com/maestro-es/maestro/store"
)

// Republish empties the namespace's event stream and publishes the whole log anew, each partition's
// events in the order of their positions. Subscribers see every event again. It returns the number
// of events in the stream, and refuses to begin while workers run. Where something was published in
// the last seconds, it waits until the server has forgotten that. A mark in the settings keeps
// workers out until it has finished: when it is interrupted, no worker starts until Republish was
// called again, which begins anew. What Config.Events leaves open stays as the stream has it.
func Republish(ctx context.Context, c Config) (events int64, err error) {
	c = withDefaults(c)
	ns := wire.Namespace(c.Namespace)
	if err := checkServers(c); err != nil {
		return 0, err
	}
	js, err := jetstream.New(c.NATS, operator)
	if err != nil {
		return 0, fmt.Errorf("use JetStream: %w", err)
	}
	nobody := func(ctx context.Context) error { return nobodyWorks(ctx, c.NATS, ns) }
	options := store.Options{Namespace: c.Namespace, Partitions: c.Partitions}
	err = store.Republish(ctx, c.Database, options, c.Node, nobody,
		func(ctx context.Context, log *store.Postgres, rows []store.Partition) (err error) {
			events, err = publishAnew(ctx, c, js, log, rows)
			return err
		})
	return events, err
}

// checkServers makes sure that a command that works on both servers has them.
func checkServers(c Config) error {
	errs := []error{wire.Namespace(c.Namespace).Check()}
	if c.NATS == nil {
		errs = append(errs, errors.New("Config.NATS is missing: connect with nats.Connect"))
	}
	if c.Database == nil {
		errs = append(errs, errors.New("Config.Database is missing: only a log in Postgres outlives its worker"))
	}
	return errors.Join(errs...)
}

// operator is how JetStream is used at an operator's command, which is not tried again: a busy
// server may take its time.
var operator = jetstream.WithDefaultTimeout(30 * time.Second)

// publishAnew empties the event stream and publishes the whole log, of which nothing may count as
// published.
func publishAnew(ctx context.Context, c Config, js jetstream.JetStream, log eventstream.Log, rows []store.Partition,
) (events int64, err error) {
	ns := wire.Namespace(c.Namespace)
	stream, err := eventstream.Ensure(ctx, js, ns, c.Events)
	if err != nil {
		return 0, err
	}
	if err := eventstream.Empty(ctx, js, stream, ns); err != nil {
		return 0, err
	}
	for _, row := range rows {
		publisher := eventstream.NewPublisher(js, ns, c.Events, log, row, c.Logger)
		if err := publisher.Drain(ctx); err != nil {
			return events, fmt.Errorf("publish partition %d: %w", row.Number, err)
		}
		events += row.Position
	}
	return events, nil
}

// nobodyWorks makes sure that no worker of the namespace answers.
func nobodyWorks(ctx context.Context, nc *nats.Conn, ns wire.Namespace) error {
	subject, err := micro.ControlSubject(micro.PingVerb, ns.Service(), "")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	_, err = nc.RequestWithContext(ctx, subject, nil)
	switch {
	case err == nil:
		return fmt.Errorf("workers of namespace %q are running: stop them first, they publish too", ns)
	case errors.Is(err, nats.ErrNoResponders):
		return nil
	default:
		return fmt.Errorf("ask for running workers: %w", err)
	}
}
