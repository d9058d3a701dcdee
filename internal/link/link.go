// Package link watches a connection to NATS for a worker.
//
// It asks the server for an answer every second, because a silent connection looks healthy until
// somebody asks. It reconnects if the server is silent, and also if the server took a subscription
// away and allows it again. It reports the state of the connection for readiness, and knows the
// largest message that the server allows. It sends and takes no messages.
package link

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/maestro-es/maestro/internal/monotonic"
)

const (
	// every is how often the server is asked.
	every = time.Second
	// patience is how long one answer may take.
	patience = 2 * time.Second
	// After the time silent without an answer, the worker is not ready. After the time broken, the
	// connection is made anew.
	silent = 4 * time.Second
	broken = 6 * time.Second
)

// ErrClosed says that the connection is closed for good: the client will not reconnect.
var ErrClosed = errors.New("the connection to NATS is closed for good")

// Link is a connection that is watched while Run runs. It is safe for concurrent use.
type Link struct {
	nc         *nats.Conn
	logger     *slog.Logger
	answered   atomic.Int64 // when the server last answered, as [monotonic.Now]
	maxPayload atomic.Int64
	refused    refusals
}

// New returns the Link of a connection. It follows refused subscriptions only on subjects with the
// given prefixes.
func New(nc *nats.Conn, logger *slog.Logger, mine ...string) *Link {
	l := &Link{nc: nc, logger: logger, refused: refusals{mine: mine}}
	l.hear()
	handler := nc.ErrorHandler()
	nc.SetErrorHandler(func(nc *nats.Conn, s *nats.Subscription, err error) {
		if known := l.refused.note(err); !known && handler != nil {
			handler(nc, s, err)
		}
	})
	return l
}

// Run asks the server until ctx ends, and then returns nil. If the connection is closed for good,
// it returns an error that wraps [ErrClosed] and the cause.
func (l *Link) Run(ctx context.Context) error {
	closed := l.nc.StatusChanged(nats.CLOSED)
	defer l.nc.RemoveStatusListener(closed)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if l.nc.IsClosed() {
			return fmt.Errorf("%w: %w", ErrClosed, cause(l.nc))
		}
		l.ask()
		select {
		case <-ctx.Done():
			return nil
		case <-closed:
		case <-tick.C:
		}
	}
}

// ask makes a round trip to the server. While the client knows that it is disconnected, ask does
// nothing, because the client reconnects by itself.
func (l *Link) ask() {
	if !l.nc.IsConnected() {
		return
	}
	err := l.nc.FlushTimeout(patience)
	switch {
	case err == nil:
		l.hear()
		l.askRefused()
	case l.nc.IsConnected() && l.since() > broken:
		l.logger.Warn("NATS has gone silent: connecting anew", "silent_for", l.since().Round(time.Second), "error", err)
		if l.nc.ForceReconnect() == nil {
			l.answered.Store(int64(monotonic.Now() - silent)) // the new connection has time to answer
		}
	}
}

// hear notes that the server has just answered, and its largest message.
func (l *Link) hear() {
	l.answered.Store(int64(monotonic.Now()))
	if most := l.nc.MaxPayload(); most > 0 { // it is 0 before the first connection
		l.maxPayload.Store(most)
	}
}

func (l *Link) since() time.Duration { return monotonic.Since(time.Duration(l.answered.Load())) }

// Check returns nil while the server answers and refuses no subscription.
func (l *Link) Check() error {
	if status := l.nc.Status(); status != nats.CONNECTED {
		return fmt.Errorf("NATS is %s", status)
	}
	if since := l.since(); since > silent {
		return fmt.Errorf("NATS has not answered for %s", since.Round(time.Second))
	}
	return l.refused.check()
}

// MaxPayload returns the size of the largest message that the server takes, in bytes; 0 before the
// first connection.
func (l *Link) MaxPayload() int64 { return l.maxPayload.Load() }

func cause(nc *nats.Conn) error {
	if err := nc.LastError(); err != nil {
		return err
	}
	return errors.New("somebody has closed it")
}
