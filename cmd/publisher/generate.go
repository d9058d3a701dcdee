package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	"github.com/maestro-es/maestro/internal/generate"
)

// generateCommand is `publisher generate`.
type generateCommand struct {
	Commands int    `env:"MAESTRO_GENERATE_COMMANDS" default:"10000" placeholder:"N" help:"How many commands (default ${default})."`
	Seed     uint64 `env:"MAESTRO_GENERATE_SEED" default:"1" placeholder:"S" help:"The same seed gives the same commands, another one other aggregates (default ${default})."`
}

// Help is shown by --help below the usage.
func (*generateCommand) Help() string {
	return `The commands are those of travel expense declarations, in the order of their times, many declarations under way at once; one
command in 200 breaks the rules and will be rejected. They are printed in the format of publisher import, one JSON object a line.

Examples:
  publisher generate --commands 20000 > declarations.ndjson
  publisher generate | publisher import - --wait`
}

// Validate checks the number of commands.
func (c *generateCommand) Validate() error {
	if c.Commands < 0 {
		return fmt.Errorf("--commands %d: expected a number from 0", c.Commands)
	}
	return nil
}

// Run prints the commands.
func (c *generateCommand) Run() error {
	out := bufio.NewWriter(os.Stdout)
	lines := json.NewEncoder(out)
	for cmd := range generate.Declarations(c.Seed, c.Commands) {
		if err := lines.Encode(cmd); err != nil {
			return err
		}
	}
	return out.Flush()
}
