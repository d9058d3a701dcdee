package consumer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/maestro-es/maestro/internal/wire"
	"github.com/maestro-es/maestro/store"
)

// Cursors reads the partition rows of a log, which hold the cursors.
type Cursors interface {
	Rows(ctx context.Context) ([]store.Partition, error)
}

// CloseStream shuts the command stream, so that publishers get no response until [EnsureStream]
// opens it again. If everything in the stream is handled, it empties the stream. Otherwise it
// returns how many commands are not handled. No worker may run.
func CloseStream(
	ctx context.Context, js jetstream.JetStream, ns wire.Namespace, log Cursors, logger *slog.Logger,
) (waiting uint64, err error) {
	stream, err := js.Stream(ctx, ns.CommandStream())
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return 0, nil
	}
	if err == nil {
		config := stream.CachedInfo().Config
		config.Subjects = []string{ns.CommandStream()} // a subject on which nobody publishes
		stream, err = js.UpdateStream(ctx, config)
	}
	if err != nil {
		return 0, fmt.Errorf("close the command stream: %w", err)
	}
	rows, err := log.Rows(ctx)
	if err != nil {
		return 0, err
	}
	end := stream.CachedInfo().State.LastSeq
	for _, row := range rows {
		n, err := unhandled(ctx, stream, ns, row, logger)
		if err != nil {
			return 0, fmt.Errorf("count the commands of partition %d that are not handled: %w", row.Number, err)
		}
		waiting += n
	}
	now, err := stream.Info(ctx)
	if err != nil {
		return 0, fmt.Errorf("look at the command stream: %w", err)
	}
	stranded, err := stream.Info(ctx, jetstream.WithSubjectFilter(ns.Commands())) // commands that no partition sees
	if err != nil {
		return 0, fmt.Errorf("look at the command stream: %w", err)
	}
	for _, n := range stranded.State.Subjects {
		waiting += n
	}
	waiting += now.State.LastSeq - end // commands that arrived while the stream was being shut
	if waiting > 0 {
		return waiting, nil
	}
	if err := stream.Purge(ctx, jetstream.WithPurgeSequence(end+1)); err != nil {
		return 0, fmt.Errorf("empty the command stream: %w", err)
	}
	return 0, nil
}

// unhandled counts the commands of a partition that a worker would still handle.
func unhandled(ctx context.Context, stream jetstream.Stream, ns wire.Namespace, at store.Partition, logger *slog.Logger) (uint64, error) {
	f := &feed{Consumer: &Consumer{Config: Config{Logger: logger}}, partition: at.Number, cursor: at.Cursor}
	if err := f.check(ctx, stream); err != nil {
		return 0, err
	}
	consumer, err := stream.CreateConsumer(ctx, jetstream.ConsumerConfig{
		FilterSubject:     ns.CommandsOf(at.Number),
		DeliverPolicy:     jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:       f.cursor.Sequence + 1,
		AckPolicy:         jetstream.AckNonePolicy,
		MemoryStorage:     true,
		InactiveThreshold: time.Second,
	})
	if err != nil {
		return 0, err
	}
	return consumer.CachedInfo().NumPending, nil
}
