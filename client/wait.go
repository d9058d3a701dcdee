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

// SendAndWait stores a command in the durable stream and waits for its outcome. Unanswered for a
// while, the command is stored again, which takes no effect twice: the outcome then says that it is
// a duplicate.
//
// The errors are those of [Client.Send]; *[UnknownOutcomeError] when the context ends before the
// outcome is there.
func (c *Client) SendAndWait(ctx context.Context, cmd Command) (o protocol.Outcome, err error) {
	cmd.giveID()
	ctx, span := c.traceCommand(ctx, telemetry.OperationSend, c.namespace.Send, &cmd)
	defer endSpan(span, &err)
	// No Nats-Msg-Id: what was sent before must pass the stream's check for duplicates, for a
	// worker to answer it again.
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

// nextOutcome waits for an outcome; context.DeadlineExceeded says that none came in time.
func nextOutcome(ctx context.Context, answers *nats.Subscription, patience time.Duration) (protocol.Outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	msg, err := answers.NextMsgWithContext(ctx)
	if err != nil {
		return protocol.Outcome{}, err
	}
	return readOutcome(msg)
}
