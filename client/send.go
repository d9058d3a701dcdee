package client

import (
	"context"
	"errors"

	"github.com/cenkalti/backoff/v4"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/maestro-es/maestro/internal/telemetry"
	"github.com/maestro-es/maestro/internal/wire"
)

// Ack says that a command is stored in the durable stream.
type Ack struct {
	CommandID string `json:"command_id"`
	Stream    string `json:"stream"`
	// Sequence is the command's place in the stream.
	Sequence uint64 `json:"stream_sequence"`
	// Duplicate says that the stream got the same command a moment ago and did not store it again.
	Duplicate bool `json:"duplicate,omitempty"`
}

// Send stores a command in the durable stream and returns when the command is there. Commands for
// an aggregate that are sent one after the other are handled in that order.
//
// Send tries again until the context ends. The error is [ErrInvalid], a *[NoStreamError], the
// stream's refusal (for example, because it is full), or an *[UnknownOutcomeError] if the command
// may be stored all the same.
func (c *Client) Send(ctx context.Context, cmd Command) (ack Ack, err error) {
	cmd.giveID()
	ctx, span := c.traceCommand(ctx, telemetry.OperationSend, c.namespace.Send, &cmd)
	defer endSpan(span, &err)
	msg, err := c.message(ctx, c.namespace.Send, &cmd)
	if err != nil {
		return Ack{}, err
	}
	// The stream detects duplicates by this header whatever their subject, so the header names the
	// aggregate too.
	msg.Header.Set(wire.HeaderMsgID, cmd.Aggregate+"/"+cmd.AggregateID+"/"+cmd.ID)
	stored, err := c.publish(ctx, msg, &cmd)
	if err != nil {
		return Ack{}, err
	}
	return Ack{CommandID: cmd.ID, Stream: stored.Stream, Sequence: stored.Sequence, Duplicate: stored.Duplicate}, nil
}

// publish stores a message in the command stream.
func (c *Client) publish(ctx context.Context, msg *nats.Msg, cmd *Command) (stored *jetstream.PubAck, err error) {
	if err := c.checkSize(msg); err != nil {
		return nil, err
	}
	err = retry(ctx, func() (err error) {
		attempt, cancel := context.WithTimeout(ctx, c.resend)
		defer cancel()
		stored, err = c.js.PublishMsg(attempt, msg, jetstream.WithRetryAttempts(0))
		return c.publishError(ctx, err)
	})
	if err != nil && ctx.Err() != nil {
		return nil, &UnknownOutcomeError{CommandID: cmd.ID, Err: err}
	}
	return stored, err
}

// publishError marks the errors after which no further attempt can succeed.
func (c *Client) publishError(ctx context.Context, err error) error {
	var refusal *jetstream.APIError
	switch {
	case errors.Is(err, jetstream.ErrNoStreamResponse):
		if _, missing := c.stream(ctx); missing != nil {
			return missing
		}
	case errors.As(err, &refusal):
		return backoff.Permanent(c.refused(refusal))
	case isClosed(err):
		return backoff.Permanent(err)
	}
	return err
}
