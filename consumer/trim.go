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
	var seen survey
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if !c.owners.Owns(0) {
			continue
		}
		if err := c.trimOnce(ctx, &seen); err != nil && ctx.Err() == nil {
			c.Logger.Debug("the command stream was not trimmed", "error", err)
		}
	}
}

// survey is what a look at the stream has shown: where it ended, and the partitions that nothing waited for.
type survey struct {
	stream     time.Time
	last       uint64
	partitions map[int]bool
	// clear is the place up to which no stranded commands are; turn counts the partitions trimmed apart.
	clear uint64
	turn  int
}

// everyPartition stands for a look at all messages.
const everyPartition = -1

// clearOf is the place up to which a look at the same stream has found no stranded commands.
func (l *survey) clearOf(stream jetstream.Stream) uint64 {
	if l.stream.Equal(stream.CachedInfo().Created) {
		return l.clear
	}
	return 0
}

// upTo is the sequence up to which nothing waits for a partition that has just been found idle. A replicated stream may be read from
// a server that does not know yet that it leads no more and lacks the newest messages. It finds that out at once, so two looks with a pause
// between them are not both mistaken, and what counts is the end of the stream at the first.
func (l *survey) upTo(partition int, stream jetstream.Stream, last, cursor uint64) uint64 {
	info := stream.CachedInfo()
	switch {
	case info.Config.Replicas == 1:
		return last
	case (partition == everyPartition || l.partitions[partition]) && l.stream.Equal(info.Created):
		return max(cursor, min(l.last, last))
	default:
		return cursor
	}
}

// trimOnce removes what every partition has handled, but keeps the message with the highest committed cursor: by that a lost
// tail of the stream is noticed. Seen is what it saw the last time. What no partition sees is stored again first.
func (c *Consumer) trimOnce(ctx context.Context, seen *survey) error {
	stream, err := c.JetStream.Stream(ctx, c.Namespace.CommandStream())
	if err != nil {
		return err
	}
	if err := c.mendStream(ctx, stream); err != nil {
		return err
	}
	before := *seen
	last := stream.CachedInfo().State.LastSeq
	*seen = survey{stream: stream.CachedInfo().Created, last: last, partitions: map[int]bool{}, turn: before.turn}
	if seen.clear, err = c.restoreStranded(ctx, stream, before.clearOf(stream), last); err != nil {
		return err
	}
	seen.clear = min(seen.clear, before.upTo(everyPartition, stream, last, 0))
	rows, err := c.Store.Rows(ctx)
	if err != nil {
		return err
	}
	info, err := stream.Info(ctx) // cursors may have gone beyond what was last a moment before
	if err != nil {
		return err
	}
	lowest, highest, cursors := seen.clear, uint64(0), make([]uint64, len(rows))
	for _, row := range rows {
		cursor, err := known(ctx, stream, row.Cursor)
		if err != nil {
			return err
		}
		cursors[row.Number], highest = cursor.Sequence, max(highest, cursor.Sequence)
		handled, waits, err := c.handled(ctx, stream, row.Number, cursor.Sequence, last)
		if err != nil {
			return err
		}
		if !waits {
			seen.partitions[row.Number] = true
			handled = before.upTo(row.Number, stream, last, cursor.Sequence)
		}
		lowest = min(lowest, handled)
	}
	keep := min(lowest+1, highest)
	if keep > info.State.FirstSeq {
		if err := stream.Purge(ctx, jetstream.WithPurgeSequence(keep)); err != nil {
			return fmt.Errorf("purge %s below %d: %w", c.Namespace.CommandStream(), keep, err)
		}
	}
	return c.trimApart(ctx, stream, cursors, keep, seen)
}

// A partition that stands still holds the common trimming up. Others are then trimmed apart, as soon as so
// many messages may be handled ones, so many partitions at a look: each purge by subject costs the server
// some milliseconds.
const (
	apartAbove  = 10_000
	apartAtOnce = 8
)

// trimApart removes what single partitions have handled beyond what all have, some partitions in turn.
// The last handled message of each stays.
func (c *Consumer) trimApart(ctx context.Context, stream jetstream.Stream, cursors []uint64, keep uint64, seen *survey) error {
	info, err := stream.Info(ctx)
	if err != nil {
		return err
	}
	most := info.Config.MaxBytes
	if info.State.Msgs < apartAbove && (most <= 0 || info.State.Bytes < uint64(most)/2) {
		return nil
	}
	for n := 0; n < apartAtOnce && n < len(cursors); n++ {
		p := seen.turn % len(cursors)
		seen.turn++
		if cursors[p] <= keep {
			continue
		}
		err := stream.Purge(ctx, jetstream.WithPurgeSubject(c.Namespace.CommandsOf(p)), jetstream.WithPurgeSequence(cursors[p]))
		if err != nil {
			return fmt.Errorf("purge partition %d of %s: %w", p, c.Namespace.CommandStream(), err)
		}
	}
	return nil
}

// handled is the sequence up to which a partition has handled the stream: its cursor, or more where nothing of its own comes
// next. Waits is false where nothing of its own comes after the cursor at all. Last is the stream's end at a moment before.
func (c *Consumer) handled(ctx context.Context, stream jetstream.Stream, partition int, cursor, last uint64) (
	upTo uint64, waits bool, err error,
) {
	if cursor >= last {
		return last, true, nil
	}
	next, err := stream.GetMsg(ctx, cursor+1, jetstream.WithGetMsgSubject(c.Namespace.CommandsOf(partition)))
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return last, false, nil
	case err != nil:
		return 0, false, fmt.Errorf("next command of partition %d: %w", partition, err)
	case isNote(next.Header, next.Data): // no consumer ever sees it
		err = c.restore(ctx, stream, next)
	}
	if err != nil {
		return 0, false, err
	}
	return min(next.Sequence-1, last), true, nil
}

// known is the cursor, or one before the first message where the cursor speaks of another stream, or of a message that the
// stream has lost in a crash: its number may be in use again. The owner reads such a stream from its beginning.
func known(ctx context.Context, stream jetstream.Stream, cursor store.Cursor) (store.Cursor, error) {
	info := stream.CachedInfo()
	start := store.Cursor{StreamCreated: created(info)}
	if cursor.Sequence == 0 || !cursor.StreamCreated.Equal(start.StreamCreated) || cursor.Sequence > info.State.LastSeq {
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
