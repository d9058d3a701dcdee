package eventstream

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/maestro-es/maestro/internal/wire"
	"github.com/maestro-es/maestro/store"
)

// messages are sent messages that can be filled again. The map of the headers is most of the
// memory of a message.
var messages = sync.Pool{New: func() any { return &nats.Msg{Header: make(nats.Header, maxHeaders)} }}

// maxHeaders is how many headers an event has at most, including those of the fence.
const maxHeaders = 18

// message returns the event as it is in the stream: CloudEvents 1.0 in binary mode, with the
// extensions of docs/protocol.md. After sending it, the caller may put it back into messages.
func message(ns wire.Namespace, e *store.Event) *nats.Msg {
	m := messages.Get().(*nats.Msg)
	clear(m.Header)
	sequence := strconv.FormatInt(e.Sequence, 10)
	partition, position := strconv.Itoa(e.Partition), strconv.FormatInt(e.Position, 10)
	values := make([]string, 0, maxHeaders) // one array for the values of all headers
	set := func(name, value string) {
		if value != "" {
			values = append(values, value)
			m.Header[name] = values[len(values)-1 : len(values) : len(values)]
		}
	}
	set(wire.HeaderMsgID, partition+"."+position)
	set(wire.HeaderEventSpecVersion, "1.0")
	set(wire.HeaderEventID, e.Aggregate.Type+"."+e.Aggregate.ID+"."+sequence)
	set(wire.HeaderEventType, e.Aggregate.Type+"."+e.Type)
	set(wire.HeaderEventSource, "/maestro/"+string(ns))
	set(wire.HeaderEventSubject, e.Aggregate.ID)
	set(wire.HeaderEventTime, e.RecordedAt.UTC().Format(time.RFC3339Nano))
	set(wire.HeaderEventSequence, sequence)
	set(wire.HeaderEventPartition, partition)
	set(wire.HeaderEventPosition, position)
	set(wire.HeaderEventVersion, strconv.Itoa(e.Version))
	set(wire.HeaderEventCausationID, e.Metadata.CommandID)
	set(wire.HeaderEventCorrelationID, e.Metadata.CorrelationID)
	set(wire.HeaderTraceparent, e.Metadata.Traceparent)
	set(wire.HeaderTracestate, e.Metadata.Tracestate)
	m.Subject, m.Reply, m.Data = ns.Event(e.Partition, e.Aggregate.Type, e.Aggregate.ID, e.Type), "", e.Body
	return m
}

// fitting is an upper estimate of the bytes that the publisher adds to the headers of a message.
const fitting = 1 << 10

// fit removes the body of an event whose message has more than most bytes, and returns whether it
// did. Such an event could never be published whole, and other events wait behind it.
func fit(m *nats.Msg, most int64) (left bool) {
	const lesser = 8 << 10 // more than headers and subject take
	if int64(len(m.Data)+lesser) <= most || int64(m.Size()+fitting) <= most || len(m.Data) == 0 {
		return false
	}
	m.Data = nil
	m.Header[wire.HeaderEventBody] = []string{wire.BodyInLog}
	return true
}

// parse reads an event from the stream.
func parse(ns wire.Namespace, subject string, h nats.Header, body []byte) (store.Event, error) {
	var e store.Event
	rest, ok := strings.CutPrefix(subject, strings.TrimSuffix(ns.Events(), ">"))
	tokens := strings.Split(rest, ".")
	if !ok || len(tokens) != 4 {
		return e, fmt.Errorf("%q is not the subject of an event", subject)
	}
	e.Aggregate = store.Key{Type: tokens[1], ID: tokens[2]}
	e.Type, e.Body, e.BodyInLog = tokens[3], body, h.Get(wire.HeaderEventBody) == wire.BodyInLog
	var err error
	number := func(name string, least int64) int64 {
		n, bad := strconv.ParseInt(h.Get(name), 10, 64)
		if (bad != nil || n < least) && err == nil {
			err = fmt.Errorf("header %s %q on %s: expected a whole number from %d", name, h.Get(name), subject, least)
		}
		return n
	}
	e.Partition = int(number(wire.HeaderEventPartition, 0))
	e.Position = number(wire.HeaderEventPosition, 1)
	e.Sequence = number(wire.HeaderEventSequence, 1)
	e.Version = int(number(wire.HeaderEventVersion, 1))
	if err == nil && strconv.Itoa(e.Partition) != tokens[0] {
		err = fmt.Errorf("header %s %q on %s: expected %s", wire.HeaderEventPartition, h.Get(wire.HeaderEventPartition), subject, tokens[0])
	}
	at, bad := time.Parse(time.RFC3339Nano, h.Get(wire.HeaderEventTime))
	if bad != nil && err == nil {
		err = fmt.Errorf("header %s %q on %s: expected an RFC 3339 time", wire.HeaderEventTime, h.Get(wire.HeaderEventTime), subject)
	}
	e.RecordedAt = at
	e.Metadata = store.Metadata{CommandID: h.Get(wire.HeaderEventCausationID), CorrelationID: h.Get(wire.HeaderEventCorrelationID),
		Traceparent: h.Get(wire.HeaderTraceparent), Tracestate: h.Get(wire.HeaderTracestate)}
	return e, err
}
