package client

import (
	"context"
	"errors"

	"github.com/cenkalti/backoff/v4"
	"github.com/nats-io/nats.go"

	"github.com/maestro-es/maestro/internal/telemetry"
	"github.com/maestro-es/maestro/protocol"
)

// Request makes a worker handle a command now, and returns the outcome. The command does not go
// through JetStream. Only the worker's commit makes it durable.
//
// While no worker answers, Request asks again with the same id until the context ends. Then the
// error is a *[NoWorkerError] if no worker was there, or an *[UnknownOutcomeError] if a worker may
// have handled the command. Before that, the error is [ErrInvalid] or a *[RefusedError].
func (c *Client) Request(ctx context.Context, cmd Command) (o protocol.Outcome, err error) {
	cmd.giveID()
	ctx, span := c.traceCommand(ctx, telemetry.OperationRequest, c.namespace.Do, &cmd)
	defer endSpan(span, &err)
	msg, err := c.message(ctx, c.namespace.Do, &cmd)
	if err != nil {
		return o, err
	}
	if err := c.checkSize(msg); err != nil {
		return o, err
	}
	asked, err := c.ask(ctx, msg, func(answer *nats.Msg) (err error) {
		o, err = readOutcome(answer)
		return err
	})
	switch {
	case err == nil:
	case !asked:
		err = c.noWorker(err)
	case ctx.Err() != nil, errors.As(err, new(*capturedError)):
		err = &UnknownOutcomeError{CommandID: cmd.ID, Err: err}
	}
	return o, err
}

// ask sends a request again and again until read accepts the answer. asked says that a worker may
// have received the request.
func (c *Client) ask(ctx context.Context, msg *nats.Msg, read func(*nats.Msg) error) (asked bool, err error) {
	err = retry(ctx, func() error {
		attempt, cancel := context.WithTimeout(ctx, c.resend)
		defer cancel()
		answer, err := c.nc.RequestMsgWithContext(attempt, msg)
		asked = asked || !isUnsent(err)
		if err == nil {
			err = read(answer)
		} else if !isClosed(err) {
			return err // no worker is there, or it did not answer in time
		}
		if isRetryable(err) {
			return err
		}
		return backoff.Permanent(err)
	})
	return asked, err
}

// noWorker turns the error that nobody responded into a *[NoWorkerError].
func (c *Client) noWorker(err error) error {
	if errors.Is(err, nats.ErrNoResponders) {
		return &NoWorkerError{Namespace: string(c.namespace), Err: err}
	}
	return err
}

// isUnsent tells whether the request has reached nobody.
func isUnsent(err error) bool {
	return errors.Is(err, nats.ErrNoResponders) || errors.Is(err, nats.ErrReconnectBufExceeded) || isClosed(err)
}

// isClosed tells whether the caller has closed the connection. No further attempt can succeed
// then.
func isClosed(err error) bool {
	return errors.Is(err, nats.ErrConnectionClosed) || errors.Is(err, nats.ErrConnectionDraining)
}
