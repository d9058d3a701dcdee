package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/maestro-es/maestro/client"
)

// importCommand is `publisher import`.
type importCommand struct {
	File string `arg:"" help:"The file, plain or compressed with gzip; - is standard input."`
	Wait bool   `env:"MAESTRO_IMPORT_WAIT" help:"Wait for the outcome of each command, and end with a line of JSON that counts them."`
}

// Help is shown by --help below the usage.
func (*importCommand) Help() string {
	return `One JSON object a line; the id of the command and its data may be left out:

  {"id":"a-1","aggregate":"counter","aggregate_id":"42","command":"increment","data":{"by":1}}

The order is kept, whatever breaks on the way. To import a file again is safe, commands that were handled before are duplicates;
but those without an id get a new one each time. The exit status is 0 when no command failed; a rejected one has not failed.

Examples:
  publisher import declarations.ndjson.gz --wait
  publisher generate | publisher import -`
}

// Run imports the file.
func (c *importCommand) Run(ctx context.Context, s *shared) error {
	file := os.Stdin
	if c.File != "-" {
		var err error
		if file, err = os.Open(c.File); err != nil {
			return fmt.Errorf("%w: %w", client.ErrInvalid, err)
		}
		defer func() { _ = file.Close() }()
	}
	return s.withoutTimeout(func(maestro *client.Client) error {
		bar := newProgress(file, c.Wait)
		sum, err := maestro.Import(ctx, client.Commands(bar), client.ImportOptions{Wait: c.Wait, Progress: bar.show})
		bar.finish()
		return errors.Join(c.report(s, sum), explain(sum, err))
	})
}

// report prints the refused commands to standard error, and then the summary.
func (c *importCommand) report(s *shared, sum client.Summary) error {
	for _, o := range sum.Refused {
		fmt.Fprintln(os.Stderr, inWords(o))
	}
	if more := sum.Rejected + sum.Failed - len(sum.Refused); more > 0 && len(sum.Refused) > 0 {
		fmt.Fprintf(os.Stderr, "... and %d more rejected or failed\n", more)
	}
	if c.Wait {
		return (&shared{JSON: true}).print(os.Stdout, sum, nil)
	}
	stored := map[string]any{"commands": sum.Commands, "seconds": sum.Seconds, "per_second": sum.PerSecond}
	return s.print(os.Stdout, stored, func() string {
		return fmt.Sprintf("%d commands are stored, %d in a second", sum.Commands, sum.PerSecond)
	})
}

// explain says why an import is not complete, and what to do.
func explain(sum client.Summary, err error) error {
	if err == nil && sum.Failed > 0 {
		return fmt.Errorf("commands that failed: %d", sum.Failed)
	}
	if err == nil {
		return nil
	}
	if errors.Is(err, context.Canceled) {
		err = errors.New("stopped")
	}
	again := "what is stored takes effect once"
	if sum.NewIDs > 0 {
		again = fmt.Sprintf("but %d had no id and would be handled again", sum.NewIDs)
	}
	return fmt.Errorf("%w\ncommands stored before that: %d; import the file again to go on, %s", err, sum.Commands, again)
}
