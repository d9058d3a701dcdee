package faults

import (
	"bytes"
	"fmt"
	"strconv"
)

// checkStream: the event stream equals the log, or the end of the log if the stream drops old
// events.
func (c *checker) checkStream() {
	streamed, logged := map[int][]message{}, map[int][]row{}
	for _, m := range c.stream {
		streamed[m.Partition] = append(streamed[m.Partition], m)
	}
	for _, e := range c.log {
		logged[e.Partition] = append(logged[e.Partition], e)
	}
	for p := range c.partitions {
		if dropped := len(logged[p]) - len(streamed[p]); c.bounded && dropped > 0 {
			logged[p] = logged[p][dropped:]
		}
		for i, e := range logged[p] {
			if i >= len(streamed[p]) {
				c.violatedf(streamIsLog, "partition %d: the log has %d events, the stream %d", p, len(logged[p]), len(streamed[p]))
				break
			}
			m := streamed[p][i]
			subject := fmt.Sprintf("faults.evt.%d.%s.%s.%s", p, e.AggregateType, e.AggregateID, e.Type)
			id := e.AggregateType + "." + e.AggregateID + "." + strconv.FormatInt(e.Sequence, 10)
			if m.Position != e.Position || m.subject != subject || m.id != id || !c.carries(m, e) {
				c.violatedf(streamIsLog, "partition %d: the log has %s at position %d where the stream has %s (%s) at position %d", p, subject, e.Position, m.subject, m.id, m.Position)
				break
			}
		}
		if more := len(streamed[p]) - len(logged[p]); more > 0 {
			extra := streamed[p][len(logged[p])]
			c.violatedf(streamIsLog, "partition %d: the log has %d events, the stream %d more, the first of them %s (%s) at position %d",
				p, len(logged[p]), more, extra.subject, extra.id, extra.Position)
		}
	}
}

// carries tells whether a message has the body of its event. A message may also leave the body to
// the log, if the body was too large for the servers at some time.
func (c *checker) carries(m message, e row) bool {
	if m.inLog {
		return len(m.body) == 0 && c.tooLarge(len(e.Body))
	}
	return bytes.Equal(m.body, e.Body)
}

// tooLarge tells whether a body of so many bytes was more than the nats-servers allowed at any
// time.
func (c *checker) tooLarge(body int) bool {
	const headers = 8 << 10
	return c.smallest > 0 && body > c.smallest-headers
}

// checkSubscriber: the subscriber's table equals the log. The subscriber writes its checkpoint in
// the same transaction as its table.
func (c *checker) checkSubscriber() {
	if c.seen == nil || c.forgotten > 0 { // the subscriber has read events that the log has lost
		return
	}
	counts := map[place]int{}
	for _, p := range c.seen {
		counts[p]++
	}
	missed := 0
	for _, e := range c.log {
		switch n := counts[place{e.Partition, e.Position}]; n {
		case 1:
		case 0:
			if c.bounded {
				continue // it may have come too late
			}
			missed++
			c.violatedf(exactlyOnce, "position %d of partition %d has had no effect", e.Position, e.Partition)
		default:
			c.violatedf(exactlyOnce, "position %d of partition %d has had %d effects", e.Position, e.Partition, n)
		}
		delete(counts, place{e.Partition, e.Position})
	}
	if missed > 0 {
		c.violatedf(exactlyOnce, "%d of %d events have had no effect", missed, len(c.log))
	}
	if len(counts) > 0 {
		c.violatedf(exactlyOnce, "effects of %d events that are not in the log", len(counts))
	}
}
