// Package link watches a connection to NATS for a worker.
//
// It asks the server for an answer every second, because a connection that has gone silent looks as
// good as any other until somebody asks. It has such a connection made anew, and one from which the
// server took a subscription away that it allows again. It says how things stand for readiness, and
// knows what the server allows at this moment. It sends and takes no messages.
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
	// silent is after how long without an answer the worker is not ready, broken after how long the
	// connection is made anew.
	silent = 4 * time.Second
	broken = 6 * time.Second
)

// ErrClosed says that the connection is closed for good: it will not be there again by itself.
var ErrClosed = errors.New("the connection to NATS is closed for good")

// Link is a connection that is watched while Run runs. It is safe for concurrent use.
type Link struct {
	nc         *nats.Conn
	logger     *slog.Logger
	answered   atomic.Int64 // when the server last answered, as [monotonic.Now]
	maxPayload atomic.Int64
	refused    refusals
}

// New returns the watch of a connection. What it knows of subscriptions that the server refuses is
// limited to subjects with the given prefixes.
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

// Run asks the server until ctx ends, which gives nil. It returns [ErrClosed], with what led to it,
// when the connection is closed for good.
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

// ask makes a round trip to the server. While the client knows that it is disconnected, it is its
// own business to connect.
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

// hear notes that the server has just answered, and what it allows.
func (l *Link) hear() {
	l.answered.Store(int64(monotonic.Now()))
	if most := l.nc.MaxPayload(); most > 0 { // it is 0 before the first connection
		l.maxPayload.Store(most)
	}
}

func (l *Link) since() time.Duration { return monotonic.Since(time.Duration(l.answered.Load())) }

// Check is nil while the server answers.
func (l *Link) Check() error {
	if status := l.nc.Status(); status != nats.CONNECTED {
		return fmt.Errorf("NATS is %s", status)
	}
	if since := l.since(); since > silent {
		return fmt.Errorf("NATS has not answered for %s", since.Round(time.Second))
	}
	return l.refused.check()
}

// MaxPayload is the largest message that the server takes, in bytes; 0 before the first connection.
func (l *Link) MaxPayload() int64 { return l.maxPayload.Load() }

func cause(nc *nats.Conn) error {
	if err := nc.LastError(); err != nil {
		return err
	}
	return errors.New("somebody has closed it")
}
