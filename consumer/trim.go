package consumer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/maestro-es/maestro/store"
)

// trimEvery is how often the command stream is relieved of what has been handled.
const trimEvery = 2 * time.Second

// trim removes handled commands from the stream, so that its size follows the backlog. The owner of partition 0 does it.
func (c *Consumer) trim(ctx context.Context) {
	tick := time.NewTicker(trimEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if c.lanes[0].Load() == nil {
			continue
		}
		if err := c.trimOnce(ctx); err != nil && ctx.Err() == nil {
			c.Logger.Debug("the command stream was not trimmed", "error", err)
		}
	}
}

// trimOnce removes what every partition has handled, but keeps the message with the highest committed cursor: by that a lost
// tail of the stream is noticed.
func (c *Consumer) trimOnce(ctx context.Context) error {
	stream, err := c.JetStream.Stream(ctx, c.Namespace.CommandStream())
	if err != nil {
		return err
	}
	last := stream.CachedInfo().State.LastSeq
	rows, err := c.Store.Rows(ctx)
	if err != nil {
		return err
	}
	info, err := stream.Info(ctx) // cursors may have gone beyond what was last a moment before
	if err != nil {
		return err
	}
	lowest, highest := last, uint64(0)
	for _, row := range rows {
		cursor, err := known(ctx, stream, row.Cursor)
		if err != nil {
			return err
		}
		highest = max(highest, cursor.Sequence)
		handled, err := c.handled(ctx, stream, row.Number, cursor.Sequence, last)
		if err != nil {
			return err
		}
		lowest = min(lowest, handled)
	}
	keep := min(lowest+1, highest)
	if keep <= info.State.FirstSeq {
		return nil
	}
	if err := stream.Purge(ctx, jetstream.WithPurgeSequence(keep)); err != nil {
		return fmt.Errorf("purge %s below %d: %w", c.Namespace.CommandStream(), keep, err)
	}
	return nil
}

// handled is the sequence up to which a partition has handled the stream: its cursor, or more where nothing of its own comes
// after that. Last is the stream's end at a moment before.
func (c *Consumer) handled(ctx context.Context, stream jetstream.Stream, partition int, cursor, last uint64) (uint64, error) {
	if cursor >= last {
		return last, nil
	}
	next, err := stream.GetMsg(ctx, cursor+1, jetstream.WithGetMsgSubject(c.Namespace.CommandsOf(partition)))
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return last, nil
	case err != nil:
		return 0, fmt.Errorf("next command of partition %d: %w", partition, err)
	}
	return min(next.Sequence-1, last), nil
}

// known is the cursor, or one before the first message where the cursor speaks of another stream, or of a message that the
// stream has lost in a crash: its number may be in use again. The owner reads such a stream from its beginning.
func known(ctx context.Context, stream jetstream.Stream, cursor store.Cursor) (store.Cursor, error) {
	info := stream.CachedInfo()
	start := store.Cursor{Stream: created(info)}
	if cursor.Sequence == 0 || !cursor.Stream.Equal(start.Stream) || cursor.Sequence > info.State.LastSeq {
		return start, nil
	}
	if cursor.Sequence < info.State.FirstSeq {
		return cursor, nil // trimmed since
	}
	marked, err := stream.GetMsg(ctx, cursor.Sequence)
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return cursor, nil
	case err != nil:
		return start, fmt.Errorf("message of the cursor: %w", err)
	case !marked.Time.UTC().Truncate(time.Microsecond).Equal(cursor.Time):
		return start, nil
	}
	return cursor, nil
}

// created identifies a stream: one that was deleted and made anew has another time.
func created(info *jetstream.StreamInfo) time.Time {
	return info.Created.UTC().Truncate(time.Microsecond)
}
