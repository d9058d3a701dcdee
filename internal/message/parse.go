package message

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/internal/lane"
	"github.com/maestro-es/maestro/internal/wire"
	"github.com/maestro-es/maestro/protocol"
	"github.com/maestro-es/maestro/store"
)

// Parse makes a command from a message. A message that is not a valid command becomes a command
// with a Refusal, so that in its turn it gets an answer and, on the durable stream, a dead letter.
// The address is the subject without "<ns>.do." or "<ns>.cmd.<partition>.".
func Parse(address string, header nats.Header, body []byte) *lane.Command {
	c := &lane.Command{Body: body, Header: header}
	err := parseAddress(c, address)
	if headerErr := parseHeader(c, header); err == nil {
		err = headerErr
	}
	if err != nil {
		c.Refusal = lane.Fail(protocol.CodeMalformed, "%s", err)
	}
	return c
}

// parseAddress reads <aggregate type>.<aggregate id>.<command>.
func parseAddress(c *lane.Command, address string) error {
	tokens := strings.Split(address, ".")
	if len(tokens) != 3 {
		return fmt.Errorf("address %q: expected <aggregate type>.<aggregate id>.<command>, found %d parts", Clip(address), len(tokens))
	}
	key, err := ParseKey(tokens[0], tokens[1])
	if err != nil {
		return err
	}
	if err := aggregate.CheckName("command", tokens[2]); err != nil {
		return err
	}
	c.Key, c.Name = key, tokens[2]
	return nil
}

// ParseKey checks the type and id of an aggregate and returns them as a key.
func ParseKey(typ, id string) (store.Key, error) {
	if err := aggregate.CheckName("aggregate", typ); err != nil {
		return store.Key{}, err
	}
	if err := aggregate.CheckID(id); err != nil {
		return store.Key{}, err
	}
	return store.Key{Type: typ, ID: id}, nil
}

// parseHeader reads all of Maestro's headers and returns the first mistake.
func parseHeader(c *lane.Command, h nats.Header) error {
	var err error
	note := func(e error) {
		if err == nil {
			err = e
		}
	}
	text := func(name string) string {
		value := h.Get(name)
		if e := wire.CheckText(value); e != nil {
			note(fmt.Errorf("header %s %w", name, e))
			return ""
		}
		return value
	}
	if c.ID = text(wire.HeaderCommandID); c.ID == "" {
		c.ID = text(wire.HeaderMsgID)
	}
	c.CorrelationID, c.CausationID = text(wire.HeaderCorrelationID), text(wire.HeaderCausationID)
	if traceparent := anyCase(h, wire.HeaderTraceparent); wire.CheckText(traceparent) == nil { // a broken trace is ignored
		c.Traceparent = traceparent
		if tracestate := anyCase(h, wire.HeaderTracestate); wire.CheckText(tracestate) == nil {
			c.Tracestate = tracestate
		}
	}
	var e error
	c.Return, e = parseReturn(h.Get(wire.HeaderReturn))
	note(e)
	if expected := h.Get(wire.HeaderExpectSequence); expected != "" {
		sequence, e := ParseSequence(wire.HeaderExpectSequence, expected)
		note(e)
		c.ExpectSequence = &sequence
	}
	if deadline := h.Get(wire.HeaderDeadline); deadline != "" {
		if c.Deadline, e = parseTime(deadline); e != nil {
			note(fmt.Errorf("header %s %q: expected an RFC 3339 time such as 2030-01-31T12:00:00Z", wire.HeaderDeadline, Clip(deadline)))
		}
	}
	return err
}

func parseReturn(value string) (lane.Return, error) {
	switch value {
	case "", "none":
		return lane.ReturnNone, nil
	case "events":
		return lane.ReturnEvents, nil
	case "state":
		return lane.ReturnState, nil
	}
	return lane.ReturnNone, fmt.Errorf("header %s %q: expected none, events or state", wire.HeaderReturn, Clip(value))
}

// parseTime reads a time in any form that RFC 3339 allows, including lower-case t and z, and the
// leap second 60. The leap second counts as the first instant of the next minute.
func parseTime(value string) (time.Time, error) {
	const seconds = len("2006-01-02T15:04:")
	value = strings.ToUpper(value)
	leap := time.Duration(0)
	if len(value) > seconds && strings.HasPrefix(value[seconds:], "60") {
		value, leap = value[:seconds]+"59"+value[seconds+2:], time.Second
	}
	t, err := time.Parse(time.RFC3339Nano, value)
	return t.Add(leap), err
}

// ParseSequence reads a sequence from the value of a header.
func ParseSequence(header, value string) (int64, error) {
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("header %s %q: expected a sequence, a whole number from 0", header, Clip(value))
	}
	return n, nil
}

// Clip shortens a text from a client, so that an error with it stays readable.
func Clip(s string) string {
	if len(s) > 80 {
		return s[:80] + "..."
	}
	return s
}
