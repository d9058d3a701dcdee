package eventstream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/maestro-es/maestro/internal/atomicbatch"
	"github.com/maestro-es/maestro/store"
)

// publish puts a unit of events into the stream. After an error, the stream may have a prefix of
// them.
func (p *Publisher) publish(ctx context.Context, f fence, events []store.Event) error {
	if p.js.Conn().Stats().Reconnects != f.reconnects {
		return errReconnected
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	unit := make([]*nats.Msg, len(events))
	most := p.js.Conn().MaxPayload()
	if f.maxMessage > 0 {
		most = min(most, f.maxMessage)
	}
	for i := range events {
		if unit[i] = message(p.namespace, &events[i]); fit(unit[i], most) {
			p.leftOut(ctx, &events[i], most)
		}
	}
	start, done := time.Now(), traced(ctx, p.namespace, events, unit)
	send := p.send
	if f.replicated {
		send = p.sendReplicated
	}
	err := send(ctx, f, unit)
	for _, m := range unit {
		messages.Put(m)
	}
	if done(err); err != nil {
		return fmt.Errorf("publish positions %d to %d: %w", events[0].Position, events[len(events)-1].Position, err)
	}
	p.metrics.Published(time.Since(start), len(events))
	return nil
}

// leftOut reports that an event is published without its body.
func (p *Publisher) leftOut(ctx context.Context, e *store.Event, most int64) {
	p.metrics.PublishedWithoutBody()
	p.logger.Log(ctx, p.complains.oversized.Level(slog.LevelWarn),
		"an event does not fit into a message: it is published without its body, which is in the log",
		"partition", e.Partition, "position", e.Position, "aggregate", e.Aggregate.Type, "id", e.Aggregate.ID,
		"bytes", len(e.Body), "max_payload", most)
}

// send stores the messages in a stream with one replica, each behind the fence. After an error,
// the stream may have a prefix of them.
func (p *Publisher) send(ctx context.Context, f fence, messages []*nats.Msg) error {
	for _, m := range messages {
		f.put(m.Header)
	}
	if len(messages) == 1 {
		_, err := p.js.PublishMsg(ctx, messages[0])
		return err
	}
	stored, err := p.fast.Publish(ctx, messages)
	if err == nil && stored < len(messages) {
		err = fmt.Errorf("the stream took %d of %d", stored, len(messages))
	}
	return err
}

// sendReplicated stores the messages in a replicated stream. Such a stream allows one in-flight
// message per expected sequence, so the unit is an atomic batch whose first message carries the
// fence. While the stream is not ready for the batch, sendReplicated waits. If the server refuses
// the batch as too large, it sends two halves, one after the other.
func (p *Publisher) sendReplicated(ctx context.Context, f fence, messages []*nats.Msg) error {
	f.put(messages[0].Header)
	waits := backoff.NewExponentialBackOff(backoff.WithInitialInterval(2*time.Millisecond),
		backoff.WithMaxInterval(200*time.Millisecond), backoff.WithMaxElapsedTime(0))
	for {
		err := p.sendWhole(ctx, messages)
		var refused *jetstream.APIError
		switch {
		case !errors.As(err, &refused):
			return err
		case refused.ErrorCode == atomicbatch.ErrCodeTooLarge && len(messages) > 1:
			half := len(messages) / 2
			if err := p.sendReplicated(ctx, f, messages[:half]); err != nil {
				return err
			}
			return p.sendReplicated(ctx, f, messages[half:])
		case !slices.Contains(passing, refused.ErrorCode):
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(waits.NextBackOff()):
		}
	}
}

// passing are refusals that pass. A message with the same expectation, or the next fence, is under
// way; there are too many batches; or the stream's leader has changed.
var passing = []jetstream.ErrorCode{jetstream.JSErrCodeStreamWrongLastSequenceConstant, atomicbatch.ErrCodeTooMany,
	atomicbatch.ErrCodeIncomplete}

func (p *Publisher) sendWhole(ctx context.Context, messages []*nats.Msg) error {
	ctx, cancel := context.WithTimeout(ctx, leaderTimeout)
	defer cancel()
	if len(messages) > 1 {
		return p.batches.Publish(ctx, messages)
	}
	_, err := p.js.PublishMsg(ctx, messages[0])
	return err
}
