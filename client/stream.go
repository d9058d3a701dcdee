package client

import (
	"context"
	"errors"
	"fmt"

	"github.com/cenkalti/backoff/v4"
	"github.com/nats-io/nats.go/jetstream"
)

// stream looks up the command stream. If the stream does not exist, the error is permanent,
// because only a worker creates it.
func (c *Client) stream(ctx context.Context) (jetstream.Stream, error) {
	stream, err := c.js.Stream(ctx, c.namespace.CommandStream())
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return nil, backoff.Permanent(&NoStreamError{Namespace: string(c.namespace), Stream: c.namespace.CommandStream()})
	case errors.Is(err, jetstream.ErrJetStreamNotEnabled), errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount):
		return nil, backoff.Permanent(fmt.Errorf("the NATS server has no JetStream, which durable commands need: "+
			"start it with -js, or switch it on for the account: %w", err))
	}
	return stream, err
}

// Codes of JetStream's errors. Source: nats-server, server/errors.json.
const (
	codeStoreFailed     jetstream.ErrorCode = 10077 // with Discard New, the stream is full
	codeMessageTooLarge jetstream.ErrorCode = 10054
)

// refused returns the error for a command that the stream refused.
func (c *Client) refused(by *jetstream.APIError) error {
	hint := ""
	if by.ErrorCode == codeStoreFailed {
		hint = "; a full stream empties as workers handle its commands: see that they run"
	}
	return fmt.Errorf("stream %s refused the command: %w%s", c.namespace.CommandStream(), by, hint)
}
