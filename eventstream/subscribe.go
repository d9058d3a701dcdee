package eventstream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/internal/wire"
	"github.com/maestro-es/maestro/store"
)

// Subscription says which events a program wants.
type Subscription struct {
	// Name is the name of the durable consumer: letters, digits, _ and -. A program that comes back
	// under the same name continues where it was. Programs with the same name share the events.
	Name string
	// Namespace is the worker's namespace. Empty means "maestro".
	Namespace string
	// Aggregate, AggregateID and Event, if not empty, select the events that match them.
	Aggregate, AggregateID, Event string
	// NewOnly leaves out events that were published before the first subscription with the name.
	NewOnly bool
	// Logger gets reports of handlers that fail. nil means slog.Default().
	Logger *slog.Logger

	stuck *stuck
}

// ackWait is how long the server waits for a program that went away with an event. A handler may
// take longer, because the subscription keeps telling the server that it works.
var ackWait = 30 * time.Second

// check refuses a subscription that would not be durable or that no event could match.
func (s Subscription) check() error {
	var errs []error
	if !durableName.MatchString(s.Name) {
		errs = append(errs, fmt.Errorf("Subscription.Name %q: expected letters, digits, _ and -", s.Name))
	}
	if s.Aggregate != "" {
		errs = append(errs, aggregate.CheckName("aggregate", s.Aggregate))
	}
	if s.AggregateID != "" {
		errs = append(errs, aggregate.CheckID(s.AggregateID))
	}
	if s.Event != "" {
		errs = append(errs, aggregate.CheckName("event", s.Event))
	}
	return errors.Join(errs...)
}

var durableName = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// Subscribe calls handle for each event, one after the other, until ctx ends, and then returns
// nil. The events of a partition come in the order of their positions.
//
// An event is done when handle returns nil. After an error or a crash, handle gets the same event
// again, and no other event before it. A handler must therefore tolerate repeated events, for
// instance by remembering partition and position. If ten tries of an event fail, Subscribe logs
// that, and the metric maestro.subscription.stuck shows it.
//
// Subscribe returns an error only at the start, or when the connection is closed for good. If the
// stream is away or does not exist yet, Subscribe waits for it. If the stream was built anew,
// handle gets all its events again.
func Subscribe(ctx context.Context, nc *nats.Conn, s Subscription, handle func(context.Context, store.Event) error) error {
	s.Namespace = cmp.Or(s.Namespace, wire.DefaultNamespace)
	s.Logger = cmp.Or(s.Logger, slog.Default()).With("subscription", s.Name)
	ns := wire.Namespace(s.Namespace)
	if err := errors.Join(ns.Check(), s.check()); err != nil {
		return err
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return fmt.Errorf("subscribe %s: %w", s.Name, err)
	}
	if s.stuck, err = newStuck(s); err != nil {
		return err
	}
	began := time.Now()
	consumer, err := s.firstConsumer(ctx, js)
	if ctx.Err() != nil {
		return nil //nolint:nilerr // nobody waits any more
	}
	if err != nil {
		return err
	}
	waits := backoff.WithContext(backoff.NewExponentialBackOff(backoff.WithMaxElapsedTime(0)), ctx)
	return backoff.RetryNotify(func() (err error) {
		if consumer == nil {
			if consumer, err = s.consumer(ctx, js, &began); err != nil {
				return err
			}
		}
		waits.Reset()
		err = s.consume(ctx, ns, consumer, handle)
		consumer = nil
		if err != nil && ctx.Err() == nil && nc.IsClosed() {
			return backoff.Permanent(err)
		}
		return err
	}, waits, func(err error, wait time.Duration) {
		s.Logger.Warn("the subscription was interrupted", "error", err, "in", wait)
	})
}

// firstConsumer returns the consumer to begin with. If the namespace is new, it waits for the
// stream.
func (s Subscription) firstConsumer(ctx context.Context, js jetstream.JetStream) (consumer jetstream.Consumer, err error) {
	waits := backoff.WithContext(backoff.NewExponentialBackOff(backoff.WithMaxInterval(time.Second), backoff.WithMaxElapsedTime(0)), ctx)
	var said bool
	err = backoff.Retry(func() error {
		consumer, err = s.consumer(ctx, js, nil)
		if !errors.Is(err, jetstream.ErrStreamNotFound) {
			return permanent(err)
		}
		if !said {
			s.Logger.Info("the event stream is not there yet: waiting for a worker of the namespace to make it", "namespace", s.Namespace)
			said = true
		}
		return err
	}, waits)
	return consumer, err
}

func permanent(err error) error {
	if err == nil {
		return nil
	}
	return backoff.Permanent(err)
}

// consumer finds or creates the durable consumer. A consumer that is created again, because its
// stream was lost, gets all events of the new stream. With NewOnly it gets those published since
// the subscription began.
func (s Subscription) consumer(ctx context.Context, js jetstream.JetStream, since *time.Time) (jetstream.Consumer, error) {
	ns := wire.Namespace(s.Namespace)
	config := jetstream.ConsumerConfig{
		Durable:       s.Name,
		FilterSubject: s.filter(ns),
		DeliverPolicy: jetstream.DeliverAllPolicy,
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       ackWait,
		MaxAckPending: 1, // the price of keeping order through a crash
	}
	found, err := js.Consumer(ctx, ns.EventStream(), s.Name)
	switch {
	case err == nil: // its start cannot be changed, and no longer matters
		config.DeliverPolicy, config.OptStartTime = found.CachedInfo().Config.DeliverPolicy, found.CachedInfo().Config.OptStartTime
	case s.NewOnly && since != nil:
		config.DeliverPolicy, config.OptStartTime = jetstream.DeliverByStartTimePolicy, since
	case s.NewOnly:
		config.DeliverPolicy = jetstream.DeliverNewPolicy
	}
	consumer, err := js.CreateOrUpdateConsumer(ctx, ns.EventStream(), config)
	if err != nil {
		return nil, fmt.Errorf("subscribe %s to %s: %w", s.Name, ns.EventStream(), err)
	}
	return consumer, nil
}

// heartbeat is how often the server tells an idle subscription that it is there. After two missed
// heartbeats the subscription begins anew.
const heartbeat = 2 * time.Second

// nakDelay is how long the server holds back the event of a subscription that stops, so that the
// same subscription does not get it again.
const nakDelay = 100 * time.Millisecond

// room is how many messages the client has room for. The server sends one event at a time, and
// status messages of its own. With room for one message alone (nats.go 1.55), the flow stops now
// and then until heartbeats are missed.
const room = 8

// consume passes events to handle until ctx ends, and then returns nil. It returns an error if
// something interrupts it.
func (s Subscription) consume(ctx context.Context, ns wire.Namespace, consumer jetstream.Consumer,
	handle func(context.Context, store.Event) error,
) error {
	messages, err := consumer.Messages(jetstream.PullMaxMessages(room), jetstream.PullHeartbeat(heartbeat))
	if err != nil {
		return fmt.Errorf("subscribe %s: %w", s.Name, err)
	}
	defer messages.Stop()
	for {
		msg, err := messages.Next(jetstream.NextContext(ctx))
		if err == nil {
			err = s.deliver(ctx, ns, msg, s.Logger, handle)
		}
		switch {
		case ctx.Err() != nil && err != nil && msg != nil:
			messages.Stop()
			_ = msg.NakWithDelay(nakDelay) // the next program need not wait until ackWait is over
			return nil
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return fmt.Errorf("subscribe %s: %w", s.Name, err)
		}
	}
}

func (s Subscription) filter(ns wire.Namespace) string {
	return strings.TrimSuffix(ns.Events(), ">") + strings.Join([]string{"*", cmp.Or(s.Aggregate, "*"), cmp.Or(s.AggregateID, "*"),
		cmp.Or(s.Event, "*")}, ".")
}

// deliver passes one event to the handler until the handler has taken it and the server knows
// that.
func (s Subscription) deliver(ctx context.Context, ns wire.Namespace, msg jetstream.Msg, logger *slog.Logger,
	handle func(context.Context, store.Event) error,
) error {
	e, err := parse(ns, msg.Subject(), msg.Headers(), msg.Data())
	if err != nil {
		logger.Error("a message that is no event is left out", "subject", msg.Subject(), "error", err)
		return msg.TermWithReason("not an event")
	}
	ctx, span := traceHandling(ctx, ns, s, &e)
	defer span.End()
	working, done := context.WithCancel(ctx)
	defer done()
	go keepAlive(working, msg)
	waits := backoff.WithContext(backoff.NewExponentialBackOff(backoff.WithMaxElapsedTime(0)), ctx)
	tries := s.tries(e, msg)
	defer tries.done(ctx)
	err = backoff.RetryNotify(func() error {
		tries.another(ctx)
		return handle(ctx, e)
	}, waits, func(err error, wait time.Duration) {
		span.RecordError(err)
		logger.WarnContext(ctx, "the handler failed and is tried again", "partition", e.Partition, "position", e.Position,
			"error", err, "in", wait)
	})
	if err != nil {
		return err
	}
	return acknowledge(ctx, msg)
}

// acknowledge tells the server that an event is done. It waits while the connection is broken. It
// returns an error if the consumer is gone or no longer knows this event.
func acknowledge(ctx context.Context, msg jetstream.Msg) error {
	waits := backoff.WithContext(backoff.NewExponentialBackOff(backoff.WithMaxElapsedTime(0)), ctx)
	unanswered := 0
	return backoff.Retry(func() error {
		err := msg.DoubleAck(context.WithoutCancel(ctx))
		if errors.Is(err, context.DeadlineExceeded) {
			unanswered++
		}
		if errors.Is(err, nats.ErrNoResponders) || errors.Is(err, nats.ErrConnectionClosed) || unanswered > 1 {
			return backoff.Permanent(err)
		}
		return err
	}, waits)
}

// keepAlive keeps telling the server that the handler works on the event.
func keepAlive(ctx context.Context, msg jetstream.Msg) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(ackWait / 3):
			_ = msg.InProgress() // if this fails, the event comes and is handled again
		}
	}
}
