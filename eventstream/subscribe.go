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
	// Name is the durable's: a program that comes back under it goes on where it was. Programs that
	// share it share the events. [A-Za-z0-9_-]+.
	Name string
	// Namespace is the worker's; empty stands for "maestro".
	Namespace string
	// Aggregate, AggregateID and Event, where not empty, leave out all others.
	Aggregate, AggregateID, Event string
	// NewOnly leaves out what was published before the first subscription of the name.
	NewOnly bool
	// Logger reports handlers that fail; nil stands for slog.Default().
	Logger *slog.Logger

	stuck *stuck
}

// ackWait is how long the server waits for a program that went away with an event in hand. A
// handler may take longer: the subscription keeps its event alive.
var ackWait = 30 * time.Second

// check refuses what would end in a subscription that is not durable or that no event ever fits.
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

// Subscribe calls handle for each event, one after the other, each partition's in the order of
// their positions, until ctx ends, which gives nil. An event is done when handle returns nil; after
// an error, or a crash in between, handle gets the same event again, and nothing comes before it.
// Handlers thus make their effects repeatable, for instance by the event's partition and position.
// An event that is not taken in ten tries is said in the log, and shows in the metric
// maestro.subscription.stuck.
//
// An error comes only at the start, or when the connection is closed for good. A stream that is
// away, or not there yet, is waited for; one that was built anew gives all its events again.
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

// firstConsumer is the consumer to begin with. The stream of a new namespace is waited for.
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

// consumer finds or makes the durable consumer. One that is made again, after its stream was lost,
// begins with what was published since the subscription began, if that only wants new events.
func (s Subscription) consumer(ctx context.Context, js jetstream.JetStream, since *time.Time) (jetstream.Consumer, error) {
	ns := wire.Namespace(s.Namespace)
	config := jetstream.ConsumerConfig{
		Durable:       s.Name,
		FilterSubject: s.filter(ns),
		DeliverPolicy: jetstream.DeliverAllPolicy,
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       ackWait,
		MaxAckPending: 1, // the price of order through a crash
	}
	found, err := js.Consumer(ctx, ns.EventStream(), s.Name)
	switch {
	case err == nil: // where it began cannot be changed, and does not matter any more
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

// heartbeat is how often the server tells an idle subscription that it is there; after two without,
// the subscription looks anew.
const heartbeat = 2 * time.Second

// nakDelay is how long a stopping subscription has the server keep its event, so that it does not
// get it itself again.
const nakDelay = 100 * time.Millisecond

// room is how many messages the client has room for. The server sends one event at a time, and
// notes of its own; with room for one message alone (nats.go 1.55) the flow stops now and then
// until heartbeats are missed.
const room = 8

// consume hands over events until ctx ends, which gives nil, or until something interrupts it.
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
			_ = msg.NakWithDelay(nakDelay) // whoever comes next need not wait for it until ackWait is over
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

// deliver hands over one event until the handler has taken it and the server knows.
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

// acknowledge tells the server that an event is done. A broken connection is waited for; it is an
// error if the consumer is gone, or knows nothing of this event any more.
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

// keepAlive tells the server that the event is being worked on.
func keepAlive(ctx context.Context, msg jetstream.Msg) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(ackWait / 3):
			_ = msg.InProgress() // an event that comes again is handled again
		}
	}
}
