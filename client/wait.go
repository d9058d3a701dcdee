package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/maestro-es/maestro/internal/telemetry"
	"github.com/maestro-es/maestro/internal/wire"
	"github.com/maestro-es/maestro/protocol"
)

// SendAndWait stores a command in the durable stream and waits for its outcome. If no answer comes
// for a while, it stores the command again. The command takes effect once, and the outcome may
// then say that it is a duplicate.
//
// The errors are those of [Client.Send]. If the context ends before the outcome comes, the error
// is an *[UnknownOutcomeError].
func (c *Client) SendAndWait(ctx context.Context, cmd Command) (o protocol.Outcome, err error) {
	cmd.giveID()
	ctx, span := c.traceCommand(ctx, telemetry.OperationSend, c.namespace.Send, &cmd)
	defer endSpan(span, &err)
	// The message has no Nats-Msg-Id. A command that was sent before must pass the stream's check for
	// duplicates, so that a worker answers it again.
	msg, err := c.message(ctx, c.namespace.Send, &cmd)
	if err != nil {
		return o, err
	}
	inbox := c.nc.NewInbox()
	msg.Header.Set(wire.HeaderReply, inbox)
	answers, err := c.nc.SubscribeSync(inbox)
	if err != nil {
		return o, fmt.Errorf("subscribe to the outcome: %w", err)
	}
	defer func() { _ = answers.Unsubscribe() }()

	for patience := c.resend; ; patience = longer(patience) {
		if _, err := c.publish(ctx, msg, &cmd); err != nil {
			return o, err
		}
		o, err := nextOutcome(ctx, answers, patience)
		switch {
		case err == nil:
			return o, nil
		case ctx.Err() != nil:
			return o, &UnknownOutcomeError{CommandID: cmd.ID, Err: context.Cause(ctx)}
		case !errors.Is(err, context.DeadlineExceeded):
			return o, err
		}
	}
}

// nextOutcome waits for an outcome. The error is context.DeadlineExceeded if none came in time.
func nextOutcome(ctx context.Context, answers *nats.Subscription, patience time.Duration) (protocol.Outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	msg, err := answers.NextMsgWithContext(ctx)
	if err != nil {
		return protocol.Outcome{}, err
	}
	return readOutcome(msg)
}
