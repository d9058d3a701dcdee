package eventstream

import (
	"context"
	"fmt"
	"sort"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// A bounded stream may have no event of a partition for two reasons. Either its limits have
// dropped the events, as configured. Or it has lost them, because it came back with older files or
// somebody has purged it. A stream drops its oldest messages first, and only when a limit demands
// it.

// bounded tells whether the stream's limits drop its oldest events.
func bounded(c jetstream.StreamConfig) bool { return c.MaxAge > 0 || c.MaxBytes > 0 || c.MaxMsgs > 0 }

// clockTolerance is how far the clocks of the workers and of nats-server may be apart.
const clockTolerance = time.Minute

// dropped returns the position up to which a bounded stream may have dropped the partition's
// events. The stream has none of them now, but had all up to known. The events after the returned
// position were lost. An event that a limit may have taken counts as dropped.
func (p *Publisher) dropped(ctx context.Context, stream jetstream.Stream, known int64) (int64, error) {
	info, err := stream.Info(ctx)
	if err != nil {
		return 0, fmt.Errorf("event stream %s: %w", p.namespace.EventStream(), err)
	}
	var failed error
	lost := func(position int64) bool {
		event, err := p.log.Log(ctx, p.partition, position-1, 1)
		switch {
		case err != nil:
			failed = fmt.Errorf("read the log: %w", err)
		case len(event) > 0:
			return !mayDrop(info, event[0].RecordedAt, p.js.Conn().MaxPayload())
		}
		return false
	}
	if !lost(known) {
		return known, failed
	}
	first := sort.Search(int(known), func(i int) bool { return lost(int64(i) + 1) }) // times rise with positions
	return int64(first), failed
}

// mayDrop tells whether the stream's limits can have taken a message that was stored at the given
// time or later. largest is the size of the largest message in bytes.
func mayDrop(info *jetstream.StreamInfo, at time.Time, largest int64) bool {
	c, s := info.Config, info.State
	if s.Msgs > 0 && s.FirstTime.Before(at.Add(-clockTolerance)) {
		return false // an older message is still there
	}
	return c.MaxAge > 0 && info.TimeStamp.Sub(at) > c.MaxAge-clockTolerance ||
		c.MaxBytes > 0 && c.MaxBytes-int64(s.Bytes) < 2*largest ||
		c.MaxMsgs > 0 && int64(s.Msgs) >= c.MaxMsgs
}
