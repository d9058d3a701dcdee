package eventstream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/maestro-es/maestro/internal/atomicbatch"
	"github.com/maestro-es/maestro/internal/fastbatch"
	"github.com/maestro-es/maestro/internal/telemetry"
	"github.com/maestro-es/maestro/internal/wire"
	"github.com/maestro-es/maestro/store"
)

// Log is the part of the event log that a publisher needs.
type Log interface {
	Partition(ctx context.Context, partition int) (store.Partition, error)
	Log(ctx context.Context, partition int, above int64, limit int) ([]store.Event, error)
}

// maxUnit and maxUnitBytes bound the events that are published as one unit. The units of all
// partitions must stay below what the server buffers ahead of its disk (100,000 messages, 128
// MiB). maxRead bounds the events that are read from the log at a time, because events may be
// large.
const (
	maxUnit      = 500
	maxUnitBytes = 1 << 20
	maxRead      = 64
)

// requestTimeout bounds one exchange with JetStream. leaderTimeout bounds an exchange that may be
// lost because a stream's leader changes. Asking again too soon does no harm but costs an
// exchange.
const (
	requestTimeout = 5 * time.Second
	leaderTimeout  = time.Second
)

// Publisher publishes the committed events of one partition. Make it with NewPublisher and run it
// with Run.
type Publisher struct {
	js        jetstream.JetStream
	namespace wire.Namespace
	config    StreamConfig
	log       Log
	logger    *slog.Logger
	metrics   *telemetry.Metrics
	partition int
	epoch     int64
	watch     *Watch
	batches   *atomicbatch.Sender
	fast      *fastbatch.Sender // while it publishes
	complains *complaints
	queue     queue
	obstacle  atomic.Pointer[obstacle]
}

// NewPublisher returns the publisher of a partition for its owner. at is the partition as the
// owner acquired it. If the stream is missing, the publisher creates it with the given
// configuration.
func NewPublisher(js jetstream.JetStream, ns wire.Namespace, c StreamConfig, log Log, at store.Partition, logger *slog.Logger) *Publisher {
	p := &Publisher{js: js, namespace: ns, config: c, log: log, logger: logger, metrics: telemetry.Discard(),
		partition: at.Number, epoch: at.Epoch, batches: atomicbatch.NewSender(js.Conn()), complains: &complaints{}}
	p.queue.wake, p.queue.moved = make(chan struct{}, 1), make(chan struct{}, 1)
	p.queue.committed, p.queue.published, p.queue.stream = at.Position, at.Published, at.EventStreamCreated
	p.queue.proven = at.Position // acquiring a partition is a commit
	return p
}

// Measure makes the publisher report to the metrics. Call it before Run.
func (p *Publisher) Measure(m *telemetry.Metrics) *Publisher {
	p.metrics = m
	return p
}

// Follow makes the publisher begin anew whenever the stream may have lost something. Call it
// before Run.
func (p *Publisher) Follow(w *Watch) *Publisher {
	p.watch, p.batches, p.complains = w, w.batches, &w.complains
	return p
}

// Committed reports that the log has reached a position. It hands over the events that led there,
// if the caller has them. It does not block.
func (p *Publisher) Committed(position int64, events []store.Event) { p.queue.add(position, events) }

// Noticed reports the position of the log whenever the caller has looked at it. It lets the
// publisher find events that others wrote to the partition.
func (p *Publisher) Noticed(position int64) { p.queue.notice(position) }

// Published returns the position of the last event known to be in the stream, and the creation
// time of that stream.
func (p *Publisher) Published() (position int64, stream time.Time) {
	_, position, stream = p.queue.state()
	return position, stream
}

// Backlog returns how many committed events are not in the stream yet.
func (p *Publisher) Backlog() int64 {
	committed, published, _ := p.queue.state()
	return committed - published
}

// Run publishes until ctx ends, and then returns nil. If the partition has another owner, it
// returns an error that wraps [store.ErrFenced]. After any other error, such as a stream that is
// away, it tries again.
func (p *Publisher) Run(ctx context.Context) error {
	waits := backoff.NewExponentialBackOff(backoff.WithInitialInterval(20*time.Millisecond),
		backoff.WithMaxInterval(2*time.Second), backoff.WithMaxElapsedTime(0))
	for {
		err := p.publishConnected(ctx, waits.Reset)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, store.ErrFenced):
			return err
		case errors.Is(err, errLost), errors.Is(err, errReconnected):
			continue
		}
		p.hindered(err)
		p.logger.Log(ctx, p.complains.level(err), "events wait: publishing failed and is tried again",
			"partition", p.partition, "error", err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(waits.NextBackOff()):
		}
	}
}

// complaints limits how often the publishers together log what is in their way. Problems that a
// person must mend are limited separately from the rest.
type complaints struct{ passing, lasting, oversized telemetry.Seldom }

func (c *complaints) level(err error) slog.Level {
	if errors.Is(err, errDiverged) || errors.Is(err, errUnknownForm) {
		return c.lasting.Level(slog.LevelError)
	}
	return c.passing.Level(slog.LevelWarn)
}

// publishConnected publishes until something fails. It returns errReconnected after a reconnect,
// because replies sent to the old connection are lost.
func (p *Publisher) publishConnected(ctx context.Context, progress func()) error {
	ctx, interrupt := context.WithCancelCause(ctx)
	defer interrupt(nil)
	reconnected := p.js.Conn().StatusChanged(nats.CONNECTED)
	defer p.js.Conn().RemoveStatusListener(reconnected)
	go func() {
		select {
		case <-reconnected:
			interrupt(errReconnected)
		case <-ctx.Done():
		}
	}()
	if err := p.publishAll(ctx, progress); ctx.Err() == nil {
		return err
	}
	return context.Cause(ctx)
}

// publishAll raises the fence, finds where to resume, and publishes unit after unit until
// something fails.
func (p *Publisher) publishAll(ctx context.Context, progress func()) error {
	lost := p.watch.next()
	fence, err := p.resume(ctx)
	if err != nil {
		return err
	}
	if p.fast, err = fastbatch.NewSender(p.js.Conn(), maxUnit); err != nil {
		return err
	}
	defer p.fast.Close()
	if p.Backlog() == 0 {
		p.free()
	}
	for {
		events, err := p.nextEvents(ctx, lost)
		if err != nil {
			return err
		}
		if err := p.prove(ctx, events); err != nil {
			return err
		}
		for len(events) > 0 {
			n := unit(events)
			if err := p.publish(ctx, fence, events[:n]); err != nil {
				return err
			}
			p.queue.mark(events[n-1].Position, fence.stream)
			p.free()
			progress()
			events = events[n:]
		}
	}
}

// nextEvents returns the events to publish next, from memory if they are there, or else from the
// log.
func (p *Publisher) nextEvents(ctx context.Context, lost <-chan struct{}) ([]store.Event, error) {
	events, above, err := p.queue.take(ctx, lost)
	if err != nil {
		return nil, err
	}
	if len(events) == 0 {
		if events, err = p.log.Log(ctx, p.partition, above, maxRead); err != nil {
			return nil, fmt.Errorf("read the log: %w", err)
		}
	}
	if len(events) == 0 || events[0].Position != above+1 {
		return nil, fmt.Errorf("the log of partition %d has no event at position %d", p.partition, above+1)
	}
	return events, nil
}

// Flush waits until all events that are committed now are in the stream. Run must be running.
func (p *Publisher) Flush(ctx context.Context) error {
	goal := p.committed()
	for {
		if published, _ := p.Published(); published >= goal {
			return nil
		}
		select {
		case <-p.queue.moved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Drain publishes until all committed events are in the stream, or until ctx ends. Run must not be
// running.
func (p *Publisher) Drain(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx); stop() }()
	err := p.Flush(ctx)
	stop()
	return errors.Join(<-ended, err)
}
