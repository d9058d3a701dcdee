package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nats.go/micro"

	"github.com/maestro-es/maestro/consumer"
	"github.com/maestro-es/maestro/eventstream"
	"github.com/maestro-es/maestro/internal/wire"
	"github.com/maestro-es/maestro/store"
)

// Config says on which servers to carry out an order. NATS and Database are required.
type Config struct {
	// NATS is the connection to use. It is left open.
	NATS *nats.Conn
	// Database is the Postgres that holds the namespace. The pool is left open.
	Database *pgxpool.Pool
	// Namespace is the namespace to work on. Default "maestro".
	Namespace string
	// Partitions, if not 0, is the number of partitions that Republish must find. Republish refuses
	// if the namespace has another number. Repartition ignores this field.
	Partitions int
	// Commands and Events configure the two streams from now on. Settings that they leave open stay
	// as they are.
	Commands consumer.StreamConfig
	Events   eventstream.StreamConfig
	// Logger gets what an operator must know. Default slog.Default().
	Logger *slog.Logger
}

// order is a configuration with its defaults, and the parts of NATS that an order uses.
type order struct {
	Config
	namespace wire.Namespace
	js        jetstream.JetStream
}

// newOrder reports all mistakes of a configuration at once, together with the error wrong.
func newOrder(c Config, wrong error) (o order, err error) {
	c.Namespace = cmp.Or(c.Namespace, wire.DefaultNamespace)
	c.Logger = cmp.Or(c.Logger, slog.Default())
	o = order{Config: c, namespace: wire.Namespace(c.Namespace)}
	errs := []error{o.namespace.Check()}
	if c.NATS == nil {
		errs = append(errs, errors.New("Config.NATS is missing: connect with nats.Connect"))
	}
	if c.Database == nil {
		errs = append(errs, errors.New("Config.Database is missing: only a log in Postgres outlives its worker"))
	}
	if err := errors.Join(append(errs, wrong)...); err != nil {
		return o, err
	}
	// Nothing repeats an order automatically, so a busy server gets more time than usual.
	if o.js, err = jetstream.New(c.NATS, jetstream.WithDefaultTimeout(30*time.Second)); err != nil {
		return o, fmt.Errorf("use JetStream: %w", err)
	}
	return o, nil
}

// nobodyWorks makes sure that no worker of the namespace answers.
func (o order) nobodyWorks(ctx context.Context) error {
	subject, err := micro.ControlSubject(micro.PingVerb, o.namespace.Service(), "")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	_, err = o.NATS.RequestWithContext(ctx, subject, nil)
	switch {
	case err == nil:
		return fmt.Errorf("workers of namespace %q are running: stop them first, they publish too", o.Namespace)
	case errors.Is(err, nats.ErrNoResponders):
		return nil
	default:
		return fmt.Errorf("ask for running workers: %w", err)
	}
}

// publish empties the event stream, publishes the whole log and returns the number of events.
// Before the call, nothing of the log may be marked as published.
func (o order) publish(ctx context.Context, log *store.Postgres, rows []store.Partition) (events int64, err error) {
	stream, err := eventstream.Ensure(ctx, o.js, o.namespace, o.Events)
	if err != nil {
		return 0, err
	}
	if err := eventstream.Empty(ctx, o.js, stream, o.namespace); err != nil {
		return 0, err
	}
	for _, row := range rows {
		publisher := eventstream.NewPublisher(o.js, o.namespace, o.Events, log, row, o.Logger)
		if err := publisher.Drain(ctx); err != nil {
			return events, fmt.Errorf("publish partition %d: %w", row.Number, err)
		}
		events += row.Position
	}
	return events, nil
}
