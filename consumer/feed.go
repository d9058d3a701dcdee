package consumer

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/maestro-es/maestro/internal/lane"
	"github.com/maestro-es/maestro/internal/message"
	"github.com/maestro-es/maestro/internal/ownership"
	"github.com/maestro-es/maestro/internal/wire"
	"github.com/maestro-es/maestro/protocol"
	"github.com/maestro-es/maestro/store"
)

// feedMessages is how many messages the server sends ahead to one partition. It must exceed the
// lane's queue. nats.go 1.55 requests more only when it delivers a message and no request is being
// sent. If the buffer drained completely meanwhile, the client would never ask again, and the feed
// would stand still until heartbeats are missed.
const feedMessages = 2000

// aheadBytes is how much the server sends ahead to all partitions together. It must be less than
// the server's limit of pending bytes for a connection (64 MiB by default), because the server
// closes a connection that exceeds the limit.
const aheadBytes = 32 << 20

// feedBytes returns how much the server sends ahead to one partition. The largest message must fit,
// because a message that does not fit would never come.
func (c *Consumer) feedBytes() int {
	const subjects = 64 << 10 // more than the subjects of a message and its acknowledgement take
	return max(aheadBytes/c.Store.Partitions(), int(c.NATS.MaxPayload())+subjects)
}

// heartbeat is how often the server sends a heartbeat to an idle feed. After two missed heartbeats,
// the feed reads again from its cursor.
const heartbeat = 500 * time.Millisecond

// inactiveAfter is the time after which the server removes a consumer that nobody reads from.
const inactiveAfter = 30 * time.Second

// feed reads one partition's commands from the stream into its lane.
type feed struct {
	*Consumer
	lane      *lane.Lane
	partition int
	cursor    store.Cursor // of the last message that went to the lane
	taken     atomic.Int64 // how many messages the JetStream consumer had sent up to that message
}

// feeding is the duty that reads a partition's durable commands into its lane, in the order of the
// stream.
type feeding struct{ *Consumer }

// Run implements ownership.Duty.
func (d feeding) Run(ctx context.Context, t *ownership.Tenure) error {
	f := &feed{Consumer: d.Consumer, lane: t.Lane, partition: t.At.Number, cursor: t.At.Cursor}
	_ = d.owners.Retry(ctx, "read the command stream", errReconnected, func() error { return f.read(ctx) })
	return nil
}

// read consumes from the cursor until something interrupts it, and returns the reason as an error.
func (f *feed) read(ctx context.Context) error {
	reading, interrupt := context.WithCancelCause(ctx)
	defer interrupt(nil)
	reconnected := f.NATS.StatusChanged(nats.CONNECTED)
	defer f.NATS.RemoveStatusListener(reconnected)
	go func() {
		select {
		case <-reconnected:
			interrupt(errReconnected)
		case <-reading.Done():
		}
	}()
	err := f.consume(reading, interrupt)
	switch {
	case ctx.Err() != nil:
		return backoff.Permanent(ctx.Err())
	case reading.Err() != nil:
		return context.Cause(reading)
	}
	return err
}

// errReconnected interrupts reading after a reconnect. The new server may have another stream, and
// replies sent to the old connection are lost.
var errReconnected = errors.New("connected anew")

// consume hands message after message to the lane until ctx ends. If something fails, consume ends
// ctx itself. After a message that did not reach the lane, no other message may reach it, because
// that message would move the cursor past the lost one.
func (f *feed) consume(ctx context.Context, interrupt context.CancelCauseFunc) error {
	stream, err := f.JetStream.Stream(ctx, f.Namespace.CommandStream())
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		err = EnsureStream(ctx, f.JetStream, f.Namespace, f.Store.Partitions(), f.Stream)
		return errors.Join(errors.New("the command stream was missing"), err)
	}
	if err != nil {
		return err
	}
	if err := f.check(ctx, stream); err != nil {
		return err
	}
	consumer, err := stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{f.Namespace.CommandsOf(f.partition)},
		DeliverPolicy:  jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:    f.cursor.Sequence + 1,
		// A killed worker leaves its consumers behind. They would pile up with the five minutes of
		// NATS's default.
		InactiveThreshold: inactiveAfter,
	})
	if err != nil {
		return fmt.Errorf("consume partition %d: %w", f.partition, err)
	}
	var handing sync.Mutex
	consuming, err := consumer.Consume(func(m jetstream.Msg) {
		handing.Lock()
		defer handing.Unlock()
		if err := f.take(ctx, m); err != nil {
			interrupt(err)
		}
	}, jetstream.PullMaxMessagesWithBytesLimit(feedMessages, f.feedBytes()), jetstream.PullHeartbeat(heartbeat),
		jetstream.ConsumeErrHandler(func(_ jetstream.ConsumeContext, err error) { interrupt(err) }))
	if err != nil {
		return fmt.Errorf("consume partition %d: %w", f.partition, err)
	}
	f.watch(ctx, consumer)
	consuming.Stop()
	handing.Lock() // Stop does not wait for the message in hand
	defer handing.Unlock()
	return context.Cause(ctx)
}

// check makes sure that the cursor fits the stream. A stream that was created again, or that lost
// its tail in a crash and may have reused sequences, is read from its beginning. Receipts make that
// safe.
func (f *feed) check(ctx context.Context, stream jetstream.Stream) error {
	cursor, err := known(ctx, stream, f.cursor)
	if err != nil {
		return err
	}
	if cursor.Sequence < f.cursor.Sequence {
		f.Logger.Warn("the command stream is another one than the cursor's, or has lost its end: reading it from its beginning",
			"partition", f.partition, "cursor", f.cursor.Sequence, "last", stream.CachedInfo().State.LastSeq)
	}
	f.cursor = cursor
	return nil
}

// take hands one message to the lane.
func (f *feed) take(ctx context.Context, m jetstream.Msg) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	meta, err := m.Metadata()
	if err != nil {
		return fmt.Errorf("message on %s: %w", m.Subject(), err)
	}
	cursor := store.Cursor{StreamCreated: f.cursor.StreamCreated, Sequence: meta.Sequence.Stream,
		Time: meta.Timestamp.UTC().Truncate(time.Microsecond)}
	if err := f.lane.Submit(ctx, f.command(m, cursor)); err != nil {
		return err
	}
	f.cursor = cursor
	f.taken.Store(int64(meta.Sequence.Consumer))
	f.lane.SetBehind(int64(meta.NumPending))
	return nil
}

// command makes a command from a message of the stream.
func (f *feed) command(m jetstream.Msg, cursor store.Cursor) *lane.Command {
	number, address, _ := strings.Cut(strings.TrimPrefix(m.Subject(), string(f.Namespace)+".cmd."), ".")
	c := message.Parse(address, m.Headers(), m.Data())
	c.Cursor, c.Subject = cursor, m.Subject()
	if c.ID == "" {
		// Derived from the place in the stream, so that reading the message again gives the same
		// id.
		c.ID = placeID(cursor.Sequence, cursor.Time)
	}
	if c.Refusal == nil && strconv.Itoa(wire.Partition(c.Key.Type, c.Key.ID, f.Store.Partitions())) != number {
		c.Refusal = lane.Fail(protocol.CodeMalformed, "subject %s puts the aggregate into the wrong partition: publish to %s",
			m.Subject(), f.Namespace.Send(c.Key.Type, c.Key.ID, c.Name))
		c.Key = store.Key{} // its receipts are in another partition
	}
	if refusal := message.Unreadable(m, m.Headers()); refusal != nil {
		c.Refusal = refusal
	}
	f.answered(c, m.Headers().Get(wire.HeaderReply))
	f.tracing.Start(c)
	return c
}

// placeID returns a command id made from the command's place in the stream.
func placeID(sequence uint64, at time.Time) string {
	return "stream-" + strconv.FormatUint(sequence, 10) + "-" + strconv.FormatInt(at.UnixMicro(), 36)
}

// answered lets the command's outcome be sent to the subject reply. If reply is not a valid reply
// subject, the command is refused.
func (f *feed) answered(c *lane.Command, reply string) {
	if reply == "" {
		return
	}
	if err := wire.CheckReply(reply); err != nil {
		if c.Refusal == nil {
			c.Refusal = lane.Fail(protocol.CodeMalformed, "header %s %s", wire.HeaderReply, err)
		}
		return
	}
	c.Done = func(r lane.Result) { f.answers.Outcome(reply, r.Answer()) }
}

// watch updates the lane's count of the commands that wait in the stream, until ctx ends. It
// matters while nothing moves; otherwise every message from the server brings the count.
func (f *feed) watch(ctx context.Context, consumer jetstream.Consumer) {
	const every = 2 * time.Second
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if oldest := f.lane.Stats().Oldest; !oldest.IsZero() && time.Since(oldest) > every {
			f.countBehind(ctx, consumer)
		}
	}
}

// countBehind asks the server how many commands come after the last one that went to the lane: the
// unsent ones and the ones sent ahead.
func (f *feed) countBehind(ctx context.Context, consumer jetstream.Consumer) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	info, err := consumer.Info(ctx)
	if err != nil {
		return // the next call tries again
	}
	sentAhead := int64(info.Delivered.Consumer) - f.taken.Load()
	f.lane.SetBehind(max(0, int64(info.NumPending)+sentAhead))
}
