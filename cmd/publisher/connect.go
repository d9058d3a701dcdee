package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/maestro-es/maestro/client"
	"github.com/maestro-es/maestro/internal/connect"
	"github.com/maestro-es/maestro/internal/wire"
)

// shared has the flags of all commands.
type shared struct {
	NATS      connect.NATS  `embed:"" prefix:"nats-" envprefix:"NATS_" group:"NATS:"`
	Namespace string        `env:"MAESTRO_NAMESPACE" default:"maestro" placeholder:"NAME" help:"The workers' namespace (default ${default})."`
	Timeout   time.Duration `env:"MAESTRO_TIMEOUT" default:"10s" placeholder:"DURATION" help:"How long to wait for an answer (default ${default})."`
	JSON      bool          `name:"json" env:"MAESTRO_JSON" help:"Print JSON instead of words."`
}

// connect connects to NATS. If the server goes away later, the client waits for it without a limit.
func (s *shared) connect() (*nats.Conn, error) {
	if err := wire.Namespace(s.Namespace).Check(); err != nil {
		return nil, fmt.Errorf("%w: --namespace: %w", client.ErrInvalid, err)
	}
	return s.NATS.Connect("maestro publisher", nats.ErrorHandler(complain))
}

// complain prints that a permission is missing, because otherwise the user would only see that no
// answer comes.
func complain(_ *nats.Conn, _ *nats.Subscription, err error) {
	if errors.Is(err, nats.ErrPermissionViolation) {
		fmt.Fprintln(os.Stderr, "publisher:", err)
	}
}

// withClient connects and calls do with a context that ends after --timeout.
func (s *shared) withClient(ctx context.Context, do func(context.Context, *client.Client) error) error {
	if s.Timeout <= 0 {
		return fmt.Errorf("%w: --timeout %s: expected a time above 0, such as 10s", client.ErrInvalid, s.Timeout)
	}
	return s.withoutTimeout(func(c *client.Client) error {
		ctx, cancel := context.WithTimeoutCause(ctx, s.Timeout, fmt.Errorf("nothing after --timeout %s", s.Timeout))
		defer cancel()
		return do(ctx, c)
	})
}

// withoutTimeout connects and calls do without a time limit.
func (s *shared) withoutTimeout(do func(*client.Client) error) error {
	nc, err := s.connect()
	if err != nil {
		return err
	}
	defer nc.Close()
	c, err := client.New(nc, client.Options{Namespace: s.Namespace})
	if err != nil {
		return err
	}
	return do(c)
}
