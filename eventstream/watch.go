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

// Watch looks after the event stream for all publishers of a worker. If the stream was deleted, it
// creates the stream again. If the stream has been replaced, or the server may have lost its end
// in a crash, Watch tells the publishers, because a publisher without events to publish would not
// notice. The connection may lead to another server than the one that has lost something, so a
// reconnect is not the only sign.
type Watch struct {
	js        jetstream.JetStream
	namespace wire.Namespace
	config    StreamConfig
	logger    *slog.Logger
	batches   *atomicbatch.Sender // shared by all publishers
	complains complaints          // shared too, so that one speaks for all
	differing telemetry.Seldom

	// The fields from here to newest belong to the goroutine of Run.
	created    time.Time
	reconnects uint64
	end        uint64 // the last sequence of the stream at the last look
	newest     mark   // the newest event seen

	mu   sync.Mutex
	lost chan struct{} // closed and replaced when the stream may have lost something
}

// mark is a message that identifies a stream.
type mark struct {
	sequence uint64
	at       time.Time
}

// watchEvery is how often Watch looks at the stream.
const watchEvery = time.Second

// NewWatch returns a watch that looks at the stream while Run runs.
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

// check compares the stream with its state at the last look.
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

// shorter tells whether the stream ends earlier than before, or no longer has the newest event at
// its sequence.
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

// remember notes where the stream ends. It does not remember a fence as the newest event, because
// the next fence replaces it.
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

// next returns a channel that is closed when the stream may have lost something from now on. The
// channel of a nil watch is never closed.
func (w *Watch) next() <-chan struct{} {
	if w == nil {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lost
}
