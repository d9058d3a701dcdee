package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/maestro-es/maestro/client"
)

// command has the arguments and flags with which send and request describe a command.
type command struct {
	Type    string `arg:"" help:"The aggregate's type, such as counter."`
	ID      string `arg:"" name:"id" help:"The aggregate's id."`
	Command string `arg:"" help:"The command's name."`
	Data    string `arg:"" optional:"" help:"The command's JSON; - reads it from standard input. Nothing stands for {}."`

	CommandID      string        `name:"id" env:"MAESTRO_COMMAND_ID" placeholder:"ID" help:"Id of the command, which takes effect once. Default: a new one."`
	ExpectSequence *int64        `env:"MAESTRO_EXPECT_SEQUENCE" placeholder:"N" help:"Reject the command unless the aggregate's last event has this sequence."`
	Deadline       time.Duration `env:"MAESTRO_DEADLINE" placeholder:"DURATION" help:"Fail the command when it is not handled within this time, such as 5s."`
	Return         string        `env:"MAESTRO_RETURN" enum:"none,events,state" default:"none" help:"What to print with the outcome: none, events or state."`
	CorrelationID  string        `env:"MAESTRO_CORRELATION_ID" placeholder:"ID" help:"Id of what the command is part of, for the events' metadata."`
	CausationID    string        `env:"MAESTRO_CAUSATION_ID" placeholder:"ID" help:"Id of what led to the command, for the events' metadata."`
}

// read makes the command from the arguments.
func (c *command) read() (client.Command, error) {
	cmd := client.Command{ID: c.CommandID, Aggregate: c.Type, AggregateID: c.ID, Name: c.Command, ExpectSequence: c.ExpectSequence,
		CorrelationID: c.CorrelationID, CausationID: c.CausationID, Data: json.RawMessage(c.Data)}
	if cmd.ID == "" {
		cmd.ID = client.NewID()
	}
	if c.Return != "none" {
		cmd.Return = client.Return(c.Return)
	}
	if c.Deadline < 0 {
		return cmd, fmt.Errorf("%w: --deadline %s: expected a time from now on, such as 5s", client.ErrInvalid, c.Deadline)
	}
	if c.Deadline > 0 {
		cmd.Deadline = time.Now().Add(c.Deadline)
	}
	if c.Data == "-" {
		data, err := io.ReadAll(os.Stdin)
		if err != nil {
			return cmd, fmt.Errorf("read the data from standard input: %w", err)
		}
		cmd.Data = json.RawMessage(data)
	}
	return cmd, nil
}
