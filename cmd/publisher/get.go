package main

import (
	"context"
	"fmt"
	"os"

	"github.com/maestro-es/maestro/client"
)

// getCommand is `publisher get`.
type getCommand struct {
	Type     string `arg:"" help:"The aggregate's type, such as counter."`
	ID       string `arg:"" name:"id" help:"The aggregate's id."`
	Sequence int64  `env:"MAESTRO_SEQUENCE" placeholder:"N" help:"The state right after the event with this sequence. Default: the current state."`
	Cached   bool   `env:"MAESTRO_CACHED" help:"Be content with a state that may lag behind."`
}

// Help is shown by --help below the usage.
func (*getCommand) Help() string {
	return `Examples:
  publisher get counter 42
  publisher get counter 42 --sequence 3
  publisher get counter 42 --json | jq .state`
}

// Run prints the state.
func (c *getCommand) Run(ctx context.Context, s *shared) error {
	return s.withClient(ctx, func(ctx context.Context, maestro *client.Client) error {
		state, err := maestro.Get(ctx, c.Type, c.ID, client.GetOptions{Sequence: c.Sequence, Cached: c.Cached})
		if err != nil {
			return err
		}
		return s.print(os.Stdout, state, func() string {
			return fmt.Sprintf("%s %s at sequence %d\n%s", state.Aggregate, state.ID, state.Sequence, state.State)
		})
	})
}
