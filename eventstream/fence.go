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

// fence is a publisher's place in the stream: a message on the partition's fence subject, whose sequence is expected to be
// the last there with everything that is published. Whoever writes the next fence shuts the former publisher out.
type fence struct {
	subject string
	last    string
	stream  time.Time
	// replicated: the stream takes only one message in flight with the same expectation, and a server may answer that does not lead
	// it any more.
	replicated bool
	// maxMessage is the largest message that the stream takes, if that is above 0.
	maxMessage int64
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

// untilAnswered asks again when there is no answer, and waits longer each time: what a stream is asked while its leader changes it never
// answers.
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
