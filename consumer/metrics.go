package consumer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/maestro-es/maestro/internal/telemetry"
	"github.com/maestro-es/maestro/store"
)

// observe exports the number of commands in the stream until stop is called.
func (c *Consumer) observe() (stop func(), err error) {
	meter := telemetry.Meter()
	gauge, err := meter.Int64ObservableGauge("maestro.stream.commands", metric.WithUnit("{command}"),
		metric.WithDescription("Commands in the namespace's command stream."))
	if err != nil {
		return nil, fmt.Errorf("export metrics: %w", err)
	}
	namespace := metric.WithAttributeSet(attribute.NewSet(telemetry.NamespaceKey.String(string(c.Namespace))))
	registered, err := meter.RegisterCallback(func(ctx context.Context, o metric.Observer) error {
		if commands, err := c.inStream(ctx); err == nil { // other metrics report a server that is away
			o.ObserveInt64(gauge, commands, namespace)
		}
		return nil
	}, gauge)
	if err != nil {
		return nil, fmt.Errorf("export metrics: %w", err)
	}
	return func() { _ = registered.Unregister() }, nil
}

// inStream returns the number of commands in the stream: the waiting ones and the ones handled in
// the last seconds. It does not count the command that is kept as a mark; see trimOnce.
func (c *Consumer) inStream(ctx context.Context) (int64, error) {
	if !c.NATS.IsConnected() {
		return 0, errors.New("not connected")
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	stream, err := c.JetStream.Stream(ctx, c.Namespace.CommandStream())
	if err != nil {
		return 0, err
	}
	commands := int64(stream.CachedInfo().State.Msgs)
	if c.hasMark(stream.CachedInfo()) {
		commands--
	}
	return commands, nil
}

// hasMark tells whether the stream holds the message of a committed cursor. There is none before
// the first command is handled.
func (c *Consumer) hasMark(stream *jetstream.StreamInfo) bool {
	return slices.ContainsFunc(c.owners.Rows(), func(row store.Partition) bool {
		at := row.Cursor.Sequence
		return row.Cursor.StreamCreated.Equal(created(stream)) && at > 0 && at >= stream.State.FirstSeq && at <= stream.State.LastSeq
	})
}
