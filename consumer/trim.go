package consumer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/maestro-es/maestro/store"
)

// trimEvery is how often handled commands are removed from the command stream.
const trimEvery = 2 * time.Second

// trim removes handled commands from the stream, so that the stream's size follows the backlog. The
// owner of partition 0 does it.
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

// survey is the result of one look at the stream: the stream's end, and the partitions for which no
// command waited.
type survey struct {
	stream     time.Time
	last       uint64
	partitions map[int]bool
	// clear is the sequence up to which there are no stranded commands. turn counts the partitions
	// that were trimmed apart.
	clear uint64
	turn  int
}

// everyPartition stands for all messages, in place of one partition.
const everyPartition = -1

// clearOf returns the sequence up to which an earlier look found no stranded commands; 0 if it
// looked at another stream.
func (l *survey) clearOf(stream jetstream.Stream) uint64 {
	if l.stream.Equal(stream.CachedInfo().Created) {
		return l.clear
	}
	return 0
}

// upTo returns the sequence up to which nothing waits for a partition that has just been found
// idle. In a replicated stream, a deposed leader may answer without the newest messages, but only
// briefly. So "nothing waits" is trusted only when two looks, trimEvery apart, agree, and only up
// to the stream's end at the first look.
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

// trimOnce removes the commands that all partitions have handled. It keeps the message of the
// highest committed cursor as a mark, because the mark shows when the stream has lost its tail.
// seen is the survey of the last look, and becomes that of this one. Before it removes anything,
// trimOnce stores stranded commands again.
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
	info, err := stream.Info(ctx) // cursors may be beyond last by now
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

// A partition that stands still blocks the common trimming. The other partitions are then trimmed
// apart, as soon as the stream has apartAbove messages or half of its MaxBytes. Each look trims at
// most apartAtOnce partitions, because each purge by subject costs the server some milliseconds.
const (
	apartAbove  = 10_000
	apartAtOnce = 8
)

// trimApart removes the commands that single partitions have handled after the commonly handled
// ones. Each call trims a few partitions in turn. The last handled message of each partition stays.
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

// handled returns the sequence up to which a partition has handled the stream. It is the cursor, or
// more if the partition's next message comes later. waits is false if no message of the partition
// comes after the cursor. last is the stream's end a moment before.
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

// known returns the cursor if it fits the stream. It returns a cursor before the first message if
// the cursor belongs to another stream, or to a message that the stream has lost in a crash,
// because that sequence may be in use again. The owner then reads the stream from its beginning.
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

// created returns the stream's creation time, which identifies it: a stream that was deleted and
// created again has another time.
func created(info *jetstream.StreamInfo) time.Time {
	return info.Created.UTC().Truncate(time.Microsecond)
}
