package eventstream

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/maestro-es/maestro/internal/fastbatch"
	"github.com/maestro-es/maestro/store"
)

// fence is a publisher's place in the stream: a message on the partition's fence subject, whose sequence is expected to be
// the last there with everything that is published. Whoever writes the next fence shuts the former publisher out.
type fence struct {
	subject string
	last    string
	stream  time.Time
	// strict fences every message. A replicated stream takes only one message in flight with the same expectation, so
	// there only the first of a unit is fenced.
	strict bool
	// reconnects is of the connection that the fence was written through. A server that comes back may have lost its end,
	// and then knows the fence but not the events after it.
	reconnects uint64
}

// errReconnected: the stream on the other side of a new connection may lack what was published through the last.
var errReconnected = errors.New("connected anew")

func (f fence) put(h nats.Header) {
	if !fenced {
		return
	}
	h[jetstream.ExpectedLastSubjSeqHeader] = []string{f.last}
	h[jetstream.ExpectedLastSubjSeqSubjHeader] = []string{f.subject}
}

// resume makes this publisher the partition's only one and finds the last event that the stream has.
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
	stream, err := p.js.Stream(ctx, p.namespace.EventStream())
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		stream, err = Ensure(ctx, p.js, p.namespace, p.config)
	}
	if err != nil {
		return fence{}, fmt.Errorf("event stream %s: %w", p.namespace.EventStream(), err)
	}
	info := stream.CachedInfo()
	f := fence{subject: p.namespace.Fence(p.partition), stream: info.Created.UTC().Truncate(time.Microsecond),
		strict: info.Config.Replicas <= 1, reconnects: reconnects}
	msg := nats.NewMsg(f.subject)
	msg.Header.Set(jetstream.MsgRollup, jetstream.MsgRollupSubject)
	msg.Data = fmt.Appendf(nil, `{"owner":%q,"epoch":%d}`, row.Owner, row.Epoch)
	ack, err := p.js.PublishMsg(ctx, msg)
	if err != nil {
		return fence{}, fmt.Errorf("fence partition %d: %w", p.partition, err)
	}
	f.last = strconv.FormatUint(ack.Sequence, 10)
	published, err := p.lastInStream(ctx, stream, row.Position)
	if err != nil {
		return fence{}, err
	}
	if _, known, of := p.queue.state(); of.Equal(f.stream) && published < known {
		if published == 0 && bounded(info.Config) {
			published = known // the stream has dropped its oldest events, and these were
		} else {
			p.logger.Warn("the event stream has lost its end: publishing it again", "partition", p.partition,
				"from", published+1, "to", known)
		}
	}
	p.queue.mark(published, f.stream)
	if row.Position > p.committed() {
		p.queue.add(row.Position, nil)
	}
	return f, nil
}

// bounded tells whether the stream drops events, the oldest first.
func bounded(c jetstream.StreamConfig) bool { return c.MaxAge > 0 || c.MaxBytes > 0 || c.MaxMsgs > 0 }

func (p *Publisher) committed() int64 {
	committed, _, _ := p.queue.state()
	return committed
}

// lastInStream is the position of the partition's last event in the stream, 0 if there is none. It is an error if the log,
// which ends at the given position, has another event there: the database is then not the one that the stream was made from.
func (p *Publisher) lastInStream(ctx context.Context, stream jetstream.Stream, end int64) (int64, error) {
	last, err := stream.GetLastMsgForSubject(ctx, p.namespace.EventsOf(p.partition))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("last event of partition %d: %w", p.partition, err)
	}
	inStream, err := parse(p.namespace, last.Subject, last.Header, last.Data)
	if err != nil {
		return 0, p.removeForeign(ctx, stream, last, err)
	}
	if inStream.Position > end {
		return 0, p.diverged(inStream.Position, fmt.Sprintf("the log ends at %d", end))
	}
	inLog, err := p.log.Log(ctx, p.partition, inStream.Position-1, 1)
	switch {
	case err != nil:
		return 0, fmt.Errorf("read the log: %w", err)
	case len(inLog) == 0 || inLog[0].Aggregate != inStream.Aggregate || inLog[0].Sequence != inStream.Sequence ||
		!inLog[0].RecordedAt.Equal(inStream.RecordedAt):
		return 0, p.diverged(inStream.Position, "the log has another event there")
	}
	return inStream.Position, nil
}

// removeForeign takes a message out of the stream that is no event: nobody but publishers may write there, but a client can name a
// subject of the stream where it wants an answer of the server's. It returns an error, so that the publisher looks again.
func (p *Publisher) removeForeign(ctx context.Context, stream jetstream.Stream, m *jetstream.RawStreamMsg, why error) error {
	err := stream.DeleteMsg(ctx, m.Sequence)
	return errors.Join(fmt.Errorf("message %d of %s was no event and is removed: %w", m.Sequence, p.namespace.EventStream(), why), err)
}

func (p *Publisher) diverged(position int64, why string) error {
	return fmt.Errorf("event stream %s has position %d of partition %d, but %s: the database is not the one that the stream "+
		"was made from, perhaps an older backup; rebuild the stream with `worker republish`",
		p.namespace.EventStream(), position, p.partition, why)
}

// publish puts a unit of events into the stream. After an error a prefix of them may be there.
func (p *Publisher) publish(ctx context.Context, f fence, events []store.Event) error {
	if p.js.Conn().Stats().Reconnects != f.reconnects {
		return errReconnected
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	messages := make([]*nats.Msg, len(events))
	for i, e := range events {
		messages[i] = message(p.namespace, e)
		if i == 0 || f.strict {
			f.put(messages[i].Header)
		}
	}
	start, done := time.Now(), traced(ctx, p.namespace, events, messages)
	err := p.send(ctx, messages)
	if done(err); err != nil {
		return fmt.Errorf("publish positions %d to %d: %w", events[0].Position, events[len(events)-1].Position, err)
	}
	p.metrics.Published(time.Since(start), len(events))
	return nil
}

// send stores the messages, of which the stream may have a prefix after an error.
func (p *Publisher) send(ctx context.Context, messages []*nats.Msg) error {
	if len(messages) == 1 {
		_, err := p.js.PublishMsg(ctx, messages[0])
		return err
	}
	stored, err := fastbatch.Publish(ctx, p.js.Conn(), messages)
	if err == nil && stored < len(messages) {
		err = fmt.Errorf("the stream took %d of %d", stored, len(messages))
	}
	return err
}
