package client

import (
	"cmp"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/maestro-es/maestro/internal/wire"
)

// Options say whom a client talks to. The zero value is ready for use.
type Options struct {
	// Namespace is that of the workers, by default "maestro".
	Namespace string
	// Resend is how long an answer may take before the command is sent again under its id, by default 5 s. Waiting
	// for the outcome of a durable command, it doubles each time, up to a minute.
	Resend time.Duration
}

// Client talks to the workers of one namespace. It is safe for concurrent use and needs no closing.
type Client struct {
	nc        *nats.Conn
	js        jetstream.JetStream
	namespace wire.Namespace
	resend    time.Duration
}

// New returns a client on a connection that stays the caller's. It sends nothing yet.
func New(nc *nats.Conn, o Options) (*Client, error) {
	namespace := wire.Namespace(cmp.Or(o.Namespace, wire.DefaultNamespace))
	if err := namespace.Check(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("open JetStream: %w", err)
	}
	return &Client{nc: nc, js: js, namespace: namespace, resend: cmp.Or(o.Resend, 5*time.Second)}, nil
}
