package main

import (
	"os"

	"github.com/maestro-es/maestro/client"
)

// newIDCommand is `publisher new-id`.
type newIDCommand struct{}

// Help is shown by --help below the usage.
func (*newIDCommand) Help() string {
	return `The id is a UUID of version 7. A script that keeps it can repeat a command until it has the outcome.

Examples:
  id=$(publisher new-id)
  until publisher request counter 42 increment '{"by": 1}' --id "$id"; do sleep 1; done`
}

// Run prints an id.
func (*newIDCommand) Run(s *shared) error {
	id := client.NewID()
	return s.print(os.Stdout, map[string]string{"id": id}, func() string { return id })
}
