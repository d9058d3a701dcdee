package eventstream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/maestro-es/maestro/internal/wire"
	"github.com/maestro-es/maestro/store"
)

// resume makes this publisher the only one of the partition, and finds the last event that the
// stream has.
func (p *Publisher) resume(ctx context.Context) (fence, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*requestTimeout)
	defer cancel()
	reconnects := p.js.Conn().Stats().Reconnects
	row, err := p.log.Partition(ctx, p.partition)
	if err != nil {
		return fence{}, fmt.Errorf("read partition %d: %w", p.partition, err)
	}
	if row.Epoch != p.epoch {
		return fence{}, fmt.Errorf("publish events of partition %d: %w", p.partition, store.ErrFenced)
	}
	stream, err := p.open(ctx)
	if err != nil {
		return fence{}, fmt.Errorf("event stream %s: %w", p.namespace.EventStream(), err)
	}
	config := stream.CachedInfo().Config
	f := fence{subject: p.namespace.Fence(p.partition), stream: stream.CachedInfo().Created.UTC().Truncate(time.Microsecond),
		replicated: config.Replicas > 1, maxMessage: int64(config.MaxMsgSize), reconnects: reconnects}
	if f.last, err = raise(ctx, p.js, f.subject, row.Owner, row.Epoch); err != nil {
		return fence{}, err
	}
	published, sequence, err := p.lastInStream(ctx, stream, row.Position)
	if err == nil && f.replicated {
		f.last, err = raise(ctx, p.js, f.subject, row.Owner, row.Epoch,
			jetstream.WithExpectLastSequenceForSubject(sequence, p.namespace.EventsOf(p.partition)))
	}
	if err != nil {
		return fence{}, err
	}
	if err := p.resumeAbove(ctx, published, f.stream, stream, row.Position); err != nil {
		return fence{}, err
	}
	p.queue.see(row.Position)
	return f, nil
}

// open returns the stream. It creates the stream if it is missing, and updates the configuration
// if an older version created it.
func (p *Publisher) open(ctx context.Context) (jetstream.Stream, error) {
	stream, err := untilAnswered(ctx, func(ctx context.Context) (jetstream.Stream, error) {
		return p.js.Stream(ctx, p.namespace.EventStream())
	})
	if errors.Is(err, jetstream.ErrStreamNotFound) || err == nil && !stream.CachedInfo().Config.AllowAtomicPublish {
		return Ensure(ctx, p.js, p.namespace, p.config)
	}
	return stream, err
}

// resumeAbove makes the publisher continue after the last event in the stream. If a bounded stream
// has no event, the publisher continues after those that the stream may have dropped. resumeAbove
// returns an error if the stream is known to have had more events than the log, which ends at
// position end.
func (p *Publisher) resumeAbove(ctx context.Context, published int64, created time.Time, stream jetstream.Stream, end int64) (err error) {
	_, known, of := p.queue.state()
	if !of.Equal(created) {
		known = 0
	}
	if compared && known > end {
		return p.diverged(known, fmt.Sprintf("the log ends at %d", end))
	}
	if published == 0 && known > 0 && bounded(stream.CachedInfo().Config) {
		if published, err = p.dropped(ctx, stream, known); err != nil {
			return err
		}
	}
	if published < known {
		p.logger.Warn("the event stream has lost its end: publishing it again", "partition", p.partition, "from", published+1, "to", known)
	}
	p.queue.mark(published, created)
	return nil
}

func (p *Publisher) committed() int64 {
	committed, _, _ := p.queue.state()
	return committed
}

// lastInStream returns the position of the partition's last event in the stream, or 0 if there is
// none, and the sequence of its message. The log ends at position end. If the log has another
// event at that position, lastInStream returns an error, because the stream was then not made from
// this database.
func (p *Publisher) lastInStream(ctx context.Context, stream jetstream.Stream, end int64) (position int64, sequence uint64, err error) {
	last, err := untilAnswered(ctx, func(ctx context.Context) (*jetstream.RawStreamMsg, error) {
		return stream.GetLastMsgForSubject(ctx, p.namespace.EventsOf(p.partition))
	})
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return 0, 0, nil
	}
	if err != nil {
		return 0, 0, fmt.Errorf("last event of partition %d: %w", p.partition, err)
	}
	inStream, err := parse(p.namespace, last.Subject, last.Header, last.Data)
	if err != nil {
		return 0, 0, p.removeForeign(ctx, stream, last, err)
	}
	if !compared {
		return inStream.Position, last.Sequence, nil
	}
	if inStream.Position > end {
		return 0, 0, p.diverged(inStream.Position, fmt.Sprintf("the log ends at %d", end))
	}
	inLog, err := p.log.Log(ctx, p.partition, inStream.Position-1, 1)
	switch {
	case err != nil:
		return 0, 0, fmt.Errorf("read the log: %w", err)
	case len(inLog) == 0 || !same(&inLog[0], &inStream):
		return 0, 0, p.diverged(inStream.Position, "the log has another event there")
	}
	return inStream.Position, last.Sequence, nil
}

// same tells whether a, from the log, and b, from the stream, are the same event. The ce-id, which
// is made of the aggregate and its sequence, is not enough. It may occur again in another history,
// though not at the same time for the same command.
func same(a, b *store.Event) bool {
	return a.Aggregate == b.Aggregate && a.Sequence == b.Sequence && a.RecordedAt.Equal(b.RecordedAt) &&
		a.Metadata.CommandID == b.Metadata.CommandID
}

// removeForeign removes a message from the stream that is no event. Only publishers may write to
// the stream, but a client can name one of its subjects as the reply subject of a request to the
// server. removeForeign always returns an error, so that the publisher looks again.
//
// It keeps an event that this program cannot read, because a newer program has written it.
func (p *Publisher) removeForeign(ctx context.Context, stream jetstream.Stream, m *jetstream.RawStreamMsg, why error) error {
	if m.Header.Get(wire.HeaderEventSpecVersion) != "" {
		return fmt.Errorf("%w: message %d of %s: %w", errUnknownForm, m.Sequence, p.namespace.EventStream(), why)
	}
	err := stream.DeleteMsg(ctx, m.Sequence)
	return errors.Join(fmt.Errorf("message %d of %s was no event and is removed: %w", m.Sequence, p.namespace.EventStream(), why), err)
}

// errUnknownForm does not pass by itself either.
var errUnknownForm = errors.New("the event stream has an event in a form that this version does not know, " +
	"a newer one has published it: end the old workers, or update them")

// errDiverged does not pass by itself.
var errDiverged = errors.New("the event stream is not the log's")

func (p *Publisher) diverged(position int64, why string) error {
	return fmt.Errorf("%w: %s has position %d of partition %d, but %s: the database is not the one that the stream "+
		"was made from, perhaps an older backup; rebuild the stream with `worker republish`",
		errDiverged, p.namespace.EventStream(), position, p.partition, why)
}
