package main

import (
	"context"
	"os"

	"github.com/maestro-es/maestro/client"
)

// requestCommand is `publisher request`.
type requestCommand struct {
	command
}

// Help is shown by --help below the usage.
func (*requestCommand) Help() string {
	return `A worker handles the command now; when the outcome is printed it is committed. After a timeout nobody knows: repeat it with
the same --id, and it takes effect once. The exit status is 0 when the command is committed, 1 when it is rejected or failed.

Examples:
  publisher request counter 42 increment '{"by": 1}'
  publisher request counter 42 increment '{"by": 1}' --return state --json
  publisher request counter 42 increment '{"by": 1}' --id order-7 --timeout 30s`
}

// Run sends the command and prints its outcome.
func (c *requestCommand) Run(ctx context.Context, s *shared) error {
	cmd, err := c.read()
	if err != nil {
		return err
	}
	return s.withClient(ctx, func(ctx context.Context, maestro *client.Client) error {
		o, err := maestro.Request(ctx, cmd)
		if err != nil {
			return err
		}
		return s.printOutcome(os.Stdout, o)
	})
}
