package main

import (
	"context"
	"fmt"
	"os"

	"github.com/maestro-es/maestro/client"
)

// snapshotCommand is `publisher snapshot`.
type snapshotCommand struct {
	Type string `arg:"" help:"The aggregate's type, such as counter."`
	ID   string `arg:"" name:"id" help:"The aggregate's id."`
}

// Help is shown by --help below the usage.
func (*snapshotCommand) Help() string {
	return `Later loads of the aggregate begin at its snapshot, and not at its first event. Types that ask for snapshots
by themselves (aggregate.SnapshotEvery) do not need this.

Examples:
  publisher snapshot counter 42`
}

// Run asks for the snapshot.
func (c *snapshotCommand) Run(ctx context.Context, s *shared) error {
	return s.withClient(ctx, func(ctx context.Context, maestro *client.Client) error {
		done, err := maestro.Snapshot(ctx, c.Type, c.ID)
		if err != nil {
			return err
		}
		return s.print(os.Stdout, done, func() string {
			if done.Sequence == 0 {
				return fmt.Sprintf("%s %s has no events: there is nothing to keep", done.Aggregate, done.ID)
			}
			return fmt.Sprintf("%s %s has a snapshot at sequence %d", done.Aggregate, done.ID, done.Sequence)
		})
	})
}
