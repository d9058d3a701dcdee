package client

import (
	"context"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/maestro-es/maestro/internal/wire"
)

// message returns the message that carries a command to the subject, [wire.Namespace.Send] or
// [wire.Namespace.Do]. The command must have an id.
func (c *Client) message(ctx context.Context, subject func(typ, id, name string) string, cmd *Command) (*nats.Msg, error) {
	if err := cmd.check(); err != nil {
		return nil, err
	}
	body, err := cmd.body()
	if err != nil {
		return nil, err
	}
	header := nats.Header{wire.HeaderCommandID: {cmd.ID}}
	set := func(name, value string) {
		if value != "" {
			header.Set(name, value)
		}
	}
	set(wire.HeaderReturn, string(cmd.Return))
	set(wire.HeaderCorrelationID, cmd.CorrelationID)
	set(wire.HeaderCausationID, cmd.CausationID)
	if cmd.ExpectSequence != nil {
		set(wire.HeaderExpectSequence, strconv.FormatInt(*cmd.ExpectSequence, 10))
	}
	if !cmd.Deadline.IsZero() {
		set(wire.HeaderDeadline, cmd.Deadline.UTC().Format(time.RFC3339Nano))
	}
	inject(ctx, header)
	return &nats.Msg{Subject: subject(cmd.Aggregate, cmd.AggregateID, cmd.Name), Header: header, Data: body}, nil
}

// checkSize refuses a message above the server's limit, which counts headers and payload together.
func (c *Client) checkSize(msg *nats.Msg) error {
	size := int64(len(msg.Data) + len("NATS/1.0\r\n\r\n"))
	for name, values := range msg.Header {
		for _, value := range values {
			size += int64(len(name) + len(": ") + len(value) + len("\r\n"))
		}
	}
	if limit := c.nc.MaxPayload(); limit > 0 && size > limit {
		return invalid("message to %s has %d bytes with its headers, the server's limit (max_payload) is %d: send less data, "+
			"or a reference to it", msg.Subject, size, limit)
	}
	return nil
}
