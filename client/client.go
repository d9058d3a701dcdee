package client

import (
	"cmp"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/maestro-es/maestro/internal/wire"
)

// Options say which workers a client talks to. The zero value is ready for use.
type Options struct {
	// Namespace is the namespace of the workers. The default is "maestro".
	Namespace string
	// Resend is how long the client waits for an answer before it sends the command again with the
	// same id. The default is 5 s. When the client waits for the outcome of a durable command, the
	// wait doubles each time, up to a minute.
	Resend time.Duration
}

// Client talks to the workers of one namespace. It is safe for concurrent use and needs no closing.
type Client struct {
	nc        *nats.Conn
	js        jetstream.JetStream
	namespace wire.Namespace
	resend    time.Duration
}

// New returns a client that uses the caller's connection. New sends nothing, and the caller closes
// the connection.
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
