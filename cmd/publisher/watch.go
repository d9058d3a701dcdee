package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/client"
	"github.com/maestro-es/maestro/internal/wire"
)

// watchCommand is `publisher watch`.
type watchCommand struct {
	Aggregate string `env:"MAESTRO_WATCH_AGGREGATE" placeholder:"TYPE" help:"Events of this type of aggregate only."`
	ID        string `name:"id" env:"MAESTRO_WATCH_ID" placeholder:"ID" help:"Events of the aggregate with this id only."`
	Event     string `env:"MAESTRO_WATCH_EVENT" placeholder:"NAME" help:"Events with this name only."`
	From      string `env:"MAESTRO_WATCH_FROM" enum:"now,start" default:"now" help:"Begin now, or at the start of the event stream."`
}

// Help is shown by --help below the usage.
func (*watchCommand) Help() string {
	return `One line an event, until Ctrl-C. Each partition's events come in the order of its log.

Examples:
  publisher watch
  publisher watch --aggregate counter --id 42 --from start
  publisher watch --event payment_handled --json | jq .data.amount_cents`
}

// filter returns the subject of the wanted events.
func (c *watchCommand) filter(ns wire.Namespace) (string, error) {
	var err error
	if c.Aggregate != "" {
		err = aggregate.CheckName("aggregate", c.Aggregate)
	}
	if c.ID != "" {
		err = cmp.Or(err, aggregate.CheckID(c.ID))
	}
	if c.Event != "" {
		err = cmp.Or(err, aggregate.CheckName("event", c.Event))
	}
	if err != nil {
		return "", fmt.Errorf("%w: %w", client.ErrInvalid, err)
	}
	tokens := []string{"*", cmp.Or(c.Aggregate, "*"), cmp.Or(c.ID, "*"), cmp.Or(c.Event, "*")}
	return strings.TrimSuffix(ns.Events(), ">") + strings.Join(tokens, "."), nil
}

// Run prints events until a signal comes.
func (c *watchCommand) Run(ctx context.Context, s *shared) error {
	ns := wire.Namespace(s.Namespace)
	filter, err := c.filter(ns)
	if err != nil {
		return err
	}
	nc, err := s.connect()
	if err != nil {
		return err
	}
	defer nc.Close()
	messages, err := c.open(ctx, nc, ns, filter)
	if err != nil {
		return err
	}
	defer messages.Stop()
	defer context.AfterFunc(ctx, messages.Stop)()
	fmt.Fprintf(os.Stderr, "watching %s, Ctrl-C ends it\n", filter)
	for {
		msg, err := messages.Next()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("watch %s: %w", ns.EventStream(), err)
		}
		event := readEvent(msg)
		if err := s.print(os.Stdout, event, event.inWords); err != nil {
			return err
		}
	}
}

func (c *watchCommand) open(ctx context.Context, nc *nats.Conn, ns wire.Namespace, filter string) (jetstream.MessagesContext, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, err
	}
	deliver := jetstream.DeliverNewPolicy
	if c.From == "start" {
		deliver = jetstream.DeliverAllPolicy
	}
	consumer, err := js.OrderedConsumer(ctx, ns.EventStream(), jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{filter}, DeliverPolicy: deliver})
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, fmt.Errorf("there is no stream %s: start a worker of namespace %q once, it creates the stream, or give another --namespace",
			ns.EventStream(), ns)
	}
	if err != nil {
		return nil, fmt.Errorf("watch %s: %w", ns.EventStream(), err)
	}
	return consumer.Messages()
}

// watched is an event as watch prints it.
type watched struct {
	Aggregate     string          `json:"aggregate"`
	ID            string          `json:"id"`
	Sequence      json.Number     `json:"sequence"`
	Event         string          `json:"event"`
	Version       json.Number     `json:"version"`
	Data          json.RawMessage `json:"data"`
	Time          string          `json:"time"`
	Partition     json.Number     `json:"partition"`
	Position      json.Number     `json:"position"`
	CommandID     string          `json:"command_id,omitempty"`
	CorrelationID string          `json:"correlation_id,omitempty"`
}

func readEvent(msg jetstream.Msg) watched {
	header := msg.Headers()
	number := func(name string) json.Number { return json.Number(cmp.Or(header.Get(name), "0")) }
	tokens := append(strings.Split(msg.Subject(), "."), make([]string, 6)...)
	return watched{Aggregate: tokens[3], ID: tokens[4], Event: tokens[5], Data: msg.Data(), Time: header.Get(wire.HeaderEventTime),
		Sequence: number(wire.HeaderEventSequence), Version: number(wire.HeaderEventVersion),
		Partition: number(wire.HeaderEventPartition), Position: number(wire.HeaderEventPosition),
		CommandID: header.Get(wire.HeaderEventCausationID), CorrelationID: header.Get(wire.HeaderEventCorrelationID)}
}

func (e watched) inWords() string {
	at := e.Time
	if t, err := time.Parse(time.RFC3339Nano, e.Time); err == nil {
		at = t.Format("15:04:05.000")
	}
	return fmt.Sprintf("%s  %s %s  %s %s  %s", at, e.Aggregate, e.ID, e.Sequence, e.Event, e.Data)
}
