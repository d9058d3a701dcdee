package main

import (
	"context"
	"os"

	"github.com/maestro-es/maestro/client"
)

// historyCommand is `publisher history`.
type historyCommand struct {
	Type  string `arg:"" help:"The aggregate's type, such as counter."`
	ID    string `arg:"" name:"id" help:"The aggregate's id."`
	After int64  `env:"MAESTRO_AFTER" placeholder:"N" help:"Leave out the events up to this sequence."`
}

// Help is shown by --help below the usage.
func (*historyCommand) Help() string {
	return `One line an event: its sequence, its time, its name and its data. An aggregate without events prints nothing.

Examples:
  publisher history counter 42
  publisher history counter 42 --after 100 --json`
}

// Run prints the events.
func (c *historyCommand) Run(ctx context.Context, s *shared) error {
	return s.withClient(ctx, func(ctx context.Context, maestro *client.Client) error {
		for event, err := range maestro.History(ctx, c.Type, c.ID, c.After) {
			if err != nil {
				return err
			}
			if err := s.print(os.Stdout, event, func() string { return eventInWords(event) }); err != nil {
				return err
			}
		}
		return nil
	})
}
