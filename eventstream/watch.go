package eventstream

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/maestro-es/maestro/internal/atomicbatch"
	"github.com/maestro-es/maestro/internal/telemetry"
	"github.com/maestro-es/maestro/internal/wire"
)

// Watch looks after the event stream for all publishers of a worker. A stream that was deleted it
// makes anew. When the stream is another one, or the server may have lost its end in a crash, it
// tells the publishers: one that has nothing to publish would not notice. The connection may be to
// another server than the one that has lost something.
type Watch struct {
	js        jetstream.JetStream
	namespace wire.Namespace
	config    StreamConfig
	logger    *slog.Logger
	batches   *atomicbatch.Sender // of all publishers
	complains complaints          // of them too: one speaks for all
	differing telemetry.Seldom

	// What follows belongs to the goroutine of Run.
	created    time.Time
	reconnects uint64
	end        uint64 // the sequence where the stream ended when it was last looked at
	newest     mark   // the newest event that was seen

	mu   sync.Mutex
	lost chan struct{} // closed and replaced when the stream may have lost something
}

// mark is a message by which a stream is known again.
type mark struct {
	sequence uint64
	at       time.Time
}

// watchEvery is how often the stream is looked at.
const watchEvery = time.Second

// NewWatch returns a watch that looks while Run runs.
func NewWatch(js jetstream.JetStream, ns wire.Namespace, c StreamConfig, logger *slog.Logger) *Watch {
	return &Watch{js: js, namespace: ns, config: c, logger: logger, batches: atomicbatch.NewSender(js.Conn()),
		reconnects: js.Conn().Stats().Reconnects, lost: make(chan struct{})}
}

// Run looks at the stream until ctx ends.
func (w *Watch) Run(ctx context.Context) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		if err := w.check(ctx); err != nil && ctx.Err() == nil {
			w.logger.Debug("the event stream could not be looked at", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// check compares the stream with what was seen of it the last time.
func (w *Watch) check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	stream, err := w.js.Stream(ctx, w.namespace.EventStream())
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		stream, err = Ensure(ctx, w.js, w.namespace, w.config)
	}
	if err != nil {
		return err
	}
	if differs := w.config.limits().Differ(stream.CachedInfo().Config); differs != "" {
		w.logger.Log(ctx, w.differing.Level(slog.LevelWarn), "the event stream is kept otherwise than this worker was told: "+
			"give all workers the same", "stream", w.namespace.EventStream(), "differs", differs)
	}
	created, reconnects := stream.CachedInfo().Created, w.js.Conn().Stats().Reconnects
	another := reconnects != w.reconnects || !w.created.IsZero() && !created.Equal(w.created)
	shorter, err := w.shorter(ctx, stream)
	if err != nil && !another {
		return err
	}
	if another || shorter {
		w.mu.Lock()
		close(w.lost)
		w.lost = make(chan struct{})
		w.mu.Unlock()
		w.newest = mark{}
	}
	w.created, w.reconnects = created, reconnects
	return w.remember(ctx, stream)
}

// shorter tells whether the stream ends earlier than before, or has another message, or none, where
// the newest event was.
func (w *Watch) shorter(ctx context.Context, stream jetstream.Stream) (bool, error) {
	if stream.CachedInfo().State.LastSeq < w.end {
		return true, nil
	}
	if w.newest == (mark{}) {
		return false, nil
	}
	found, err := stream.GetMsg(ctx, w.newest.sequence)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return true, nil
	}
	return err == nil && !found.Time.Equal(w.newest.at), err
}

// remember notes where the stream ends. Fences are not looked at: the next takes the place of the
// one before.
func (w *Watch) remember(ctx context.Context, stream jetstream.Stream) error {
	end := stream.CachedInfo().State.LastSeq
	if end == w.end {
		return nil
	}
	last, err := stream.GetMsg(ctx, end)
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
	case err != nil:
		return err
	case strings.HasPrefix(last.Subject, strings.TrimSuffix(w.namespace.Events(), ">")):
		w.newest = mark{end, last.Time}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.end = end
	return nil
}

// next is closed when the stream may have lost something, from now on. A nil watch never sees
// anything.
func (w *Watch) next() <-chan struct{} {
	if w == nil {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lost
}
