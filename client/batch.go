package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/maestro-es/maestro/internal/fastbatch"
)

// batchPatience is how long an import waits while the stream takes nothing.
const batchPatience = time.Minute

// checkBatches returns an error unless the command stream takes fast batches.
func (c *Client) checkBatches(ctx context.Context) error {
	stream, err := c.stream(ctx)
	if err == nil && !stream.CachedInfo().Config.AllowBatchPublish {
		err = backoff.Permanent(fmt.Errorf("stream %s does not allow batches (allow_batched): start a worker of this version once, "+
			"it sets the stream up; the NATS server must be 2.14 or later", c.namespace.CommandStream()))
	}
	return err
}

// publishInOrder stores messages in order. If something fails on the way, the stream may have some
// of them twice, but their first occurrences are in this order. stored is how many of them, from
// the first on, are known to be stored. See package fastbatch.
func (c *Client) publishInOrder(ctx context.Context, msgs []*nats.Msg) (stored int, err error) {
	for stored < len(msgs) && err == nil {
		n, patience := 0, c.resend
		err = patiently(ctx, func(ctx context.Context) (err error) {
			n, err = c.publishBatch(ctx, msgs[stored:], patience)
			patience = longer(patience) // else a slow stream would get the same batch again and again
			return err
		})
		stored += n
	}
	return stored, err
}

// patiently retries do for as long as an import waits for the stream.
func patiently(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, batchPatience, fmt.Errorf("the stream took nothing for %s", batchPatience))
	defer cancel()
	return retry(ctx, func() error { return do(ctx) })
}

// batchBytes bounds the size of a batch.
const batchBytes = 4 << 20

// publishBatch stores the first messages, at least one.
func (c *Client) publishBatch(ctx context.Context, msgs []*nats.Msg, patience time.Duration) (stored int, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, nats.ErrTimeout)
	defer cancel()
	stored, err = fastbatch.Publish(ctx, c.nc, fit(msgs))
	var refused *jetstream.APIError
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return 0, context.Cause(ctx)
	case errors.Is(err, nats.ErrConnectionClosed):
		return 0, backoff.Permanent(err)
	case errors.As(err, &refused) && refused.ErrorCode == codeMessageTooLarge:
		return 0, backoff.Permanent(c.refused(refused))
	case errors.As(err, &refused):
		return 0, c.refused(refused)
	}
	return stored, err
}

// fit returns the first messages, as many as make a batch.
func fit(msgs []*nats.Msg) []*nats.Msg {
	bytes := 0
	for n, msg := range msgs {
		if bytes += msg.Size(); bytes > batchBytes && n > 0 {
			return msgs[:n]
		}
	}
	return msgs
}
