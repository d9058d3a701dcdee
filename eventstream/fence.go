package eventstream

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// fence is a publisher's place in the stream: a message on the partition's fence subject.
// Everything that is published expects the sequence of this message to be the last one on that
// subject. The next fence shuts the former publisher out.
type fence struct {
	subject string
	last    string
	stream  time.Time
	// replicated says that the stream takes only one message in flight with the same expectation, and
	// that a server may answer that no longer leads the stream.
	replicated bool
	// maxMessage is the size of the largest message that the stream takes, if it is above 0.
	maxMessage int64
	// reconnects is the count of the connection when the fence was written. A server that comes back
	// may have lost the end of the stream. It may then have the fence but not the events after it.
	reconnects uint64
}

// errReconnected says that there is a new connection. The stream behind it may lack events that
// were published over the last one.
var errReconnected = errors.New("connected anew")

func (f fence) put(h nats.Header) {
	if !fenced {
		return
	}
	h[jetstream.ExpectedLastSubjSeqHeader] = []string{f.last}
	h[jetstream.ExpectedLastSubjSeqSubjHeader] = []string{f.subject}
}

// raise puts a fence into the stream and returns its sequence.
func raise(ctx context.Context, js jetstream.JetStream, subject, owner string, epoch int64, expected ...jetstream.PublishOpt,
) (string, error) {
	msg := nats.NewMsg(subject)
	msg.Header.Set(jetstream.MsgRollup, jetstream.MsgRollupSubject)
	msg.Data = fmt.Appendf(nil, `{"owner":%q,"epoch":%d}`, owner, epoch)
	ack, err := untilAnswered(ctx, func(ctx context.Context) (*jetstream.PubAck, error) { return js.PublishMsg(ctx, msg, expected...) })
	if err != nil {
		return "", fmt.Errorf("raise the fence %s: %w", subject, err)
	}
	return strconv.FormatUint(ack.Sequence, 10), nil
}

// untilAnswered repeats a request until there is an answer, and waits longer each time. A request
// that reaches a stream while its leader changes is never answered.
func untilAnswered[T any](ctx context.Context, ask func(context.Context) (T, error)) (T, error) {
	for patience := leaderTimeout; ; patience *= 2 {
		try, cancel := context.WithTimeout(ctx, patience)
		answer, err := ask(try)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
			return answer, err
		}
	}
}
