package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// retry calls do until it succeeds, fails for good (backoff.Permanent), or the context ends. If
// the context ends, the error wraps the context's cause and the last other error of do.
func retry(ctx context.Context, do func() error) error {
	var last error
	pause := backoff.NewExponentialBackOff(backoff.WithInitialInterval(20*time.Millisecond),
		backoff.WithMaxInterval(time.Second), backoff.WithMaxElapsedTime(0))
	err := backoff.Retry(func() error {
		err := do()
		if err != nil && (ctx.Err() == nil || !errors.Is(err, ctx.Err())) {
			last = err
		}
		return err
	}, backoff.WithContext(pause, ctx))
	switch ended := ctx.Err(); {
	case ended == nil || !errors.Is(err, ended):
		return err
	case last == nil:
		return context.Cause(ctx)
	default:
		return fmt.Errorf("%w: %w", context.Cause(ctx), last)
	}
}

// longer returns how long to wait for the next answer when patience was not enough.
func longer(patience time.Duration) time.Duration {
	return max(patience, min(2*patience, time.Minute))
}
