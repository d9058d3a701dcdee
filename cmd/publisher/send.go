package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/maestro-es/maestro/client"
)

// sendCommand is `publisher send`.
type sendCommand struct {
	command
	Wait bool `env:"MAESTRO_SEND_WAIT" help:"Wait for the outcome and print it."`
}

// Help is shown by --help below the usage.
func (*sendCommand) Help() string {
	return `The command is stored in a JetStream stream, so no worker has to run now. Sent again with the same --id it takes effect once.

Examples:
  publisher send counter 42 increment '{"by": 1}'
  publisher send counter 42 increment '{"by": 1}' --wait --return events
  echo '{"by": 1}' | publisher send counter 42 increment - --id order-7
  publisher send counter 42 reset --expect-sequence 3 --deadline 1m`
}

// Validate finds flags that do not go together.
func (c *sendCommand) Validate() error {
	if c.Return != "none" && !c.Wait {
		return errors.New("--return needs --wait: without it there is no outcome to print")
	}
	return nil
}

// Run sends the command.
func (c *sendCommand) Run(ctx context.Context, s *shared) error {
	cmd, err := c.read()
	if err != nil {
		return err
	}
	return s.withClient(ctx, func(ctx context.Context, maestro *client.Client) error {
		if c.Wait {
			o, err := maestro.SendAndWait(ctx, cmd)
			if err != nil {
				return err
			}
			return s.printOutcome(os.Stdout, o)
		}
		ack, err := maestro.Send(ctx, cmd)
		if err != nil {
			return err
		}
		return s.print(os.Stdout, ack, func() string {
			if ack.Duplicate {
				return fmt.Sprintf("command %s was stored a moment ago, and is not stored again", ack.CommandID)
			}
			return fmt.Sprintf("command %s is stored in %s at %d", ack.CommandID, ack.Stream, ack.Sequence)
		})
	})
}
