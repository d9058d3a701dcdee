package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/maestro-es/maestro/client"
	"github.com/maestro-es/maestro/internal/openloop"
)

// benchCommand is `publisher bench`.
type benchCommand struct {
	Type    string `arg:"" help:"The aggregates' type, such as counter."`
	Command string `arg:"" help:"The command's name."`
	Data    string `arg:"" optional:"" help:"The command's JSON, or a template of it. Nothing stands for {}."`

	Rate        float64       `env:"MAESTRO_BENCH_RATE" default:"1000" placeholder:"N" help:"Commands that are due in a second (default ${default})."`
	Duration    time.Duration `env:"MAESTRO_BENCH_DURATION" default:"30s" placeholder:"DURATION" help:"How long to measure (default ${default})."`
	WarmUp      time.Duration `env:"MAESTRO_BENCH_WARM_UP" default:"5s" placeholder:"DURATION" help:"How long to send commands before that (default ${default})."`
	Mode        string        `env:"MAESTRO_BENCH_MODE" enum:"request,send" default:"request" help:"request: have each handled now. send: store it in the durable stream and wait for its outcome."`
	Aggregates  int           `env:"MAESTRO_BENCH_AGGREGATES" default:"10000" placeholder:"N" help:"How many aggregates get the commands, at random (default ${default})."`
	Hot         float64       `env:"MAESTRO_BENCH_HOT" default:"0" placeholder:"SHARE" help:"Share of the commands, 0 to 1, that one aggregate gets."`
	IDs         string        `name:"ids" env:"MAESTRO_BENCH_IDS" default:"bench-" placeholder:"TEXT" help:"Begins the aggregates' ids; a number follows (default ${default})."`
	Connections int           `env:"MAESTRO_BENCH_CONNECTIONS" default:"1" placeholder:"N" help:"Connections that share the commands (default ${default})."`
	MaxInFlight int           `env:"MAESTRO_BENCH_MAX_IN_FLIGHT" default:"10000" placeholder:"N" help:"Most commands without an answer; beyond that a command waits, which counts (default ${default})."`
}

// Help is shown by --help below the usage.
func (*benchCommand) Help() string {
	return `Sends commands at a steady rate, whether or not the earlier ones are answered, and shows how long each took from the moment it was
due. So a pause of the system counts for every command that had to wait for it. The commands are real: they write events, which stay.
Use a namespace for trials, or ids of their own.

The data may be a template in Go's text/template: {{.N}} is the command's number, {{.ID}} the aggregate's id, {{random 100}} a number from
0 to 99. A command without an answer after --timeout counts as unanswered, with that time. Ctrl-C ends it early and shows what was
measured. The exit status is 0 when all commands were sent and none failed; a rejected one has not failed.

Examples:
  publisher bench counter increment '{"by":1}'
  publisher bench counter increment --rate 5000 --duration 1m --mode send
  publisher bench counter increment '{"by":{{random 9}}}' --aggregates 100000 --hot 0.5 --ids "trial-7-" --json`
}

// Validate checks the flags before anything is sent.
func (c *benchCommand) Validate() error {
	if c.Command == "" {
		return nil // the parser reports the missing argument
	}
	_, dataErr := openloop.ParseData(c.Data)
	errs := []error{c.plan().Check(), c.load(openloop.Data{}).Check(), dataErr}
	if c.MaxInFlight < 1 {
		errs = append(errs, fmt.Errorf("--max-in-flight %d: expected 1 or more", c.MaxInFlight))
	}
	if c.Connections < 1 || c.Connections > maxConnections {
		errs = append(errs, fmt.Errorf("--connections %d: expected 1 to %d", c.Connections, maxConnections))
	}
	return errors.Join(errs...)
}

const maxConnections = 1000

func (c *benchCommand) plan() openloop.Plan {
	return openloop.Plan{Rate: c.Rate, Duration: c.Duration, WarmUp: c.WarmUp, MaxInFlight: max(c.MaxInFlight, 0)}
}

func (c *benchCommand) load(data openloop.Data) openloop.Load {
	return openloop.Load{Aggregate: c.Type, Command: c.Command, Data: data, Aggregates: c.Aggregates, IDs: c.IDs, Hot: c.Hot,
		Durable: c.Mode == "send"}
}

// Run puts the load on the workers and reports.
func (c *benchCommand) Run(ctx context.Context, s *shared) error {
	if err := s.withClient(ctx, c.probe); err != nil {
		return err
	}
	conns, err := s.connections(c.Connections)
	if err != nil {
		return err
	}
	defer closeAll(conns)
	data, err := openloop.ParseData(c.Data)
	if err != nil {
		return err
	}
	commands, err := openloop.NewCommands(conns, s.Namespace, client.NewID(), c.load(data), s.Timeout)
	if err != nil {
		return err
	}
	defer commands.Close()
	fmt.Fprintf(os.Stderr, "%g commands a second for %s after a warm-up of %s, to namespace %s: this writes real events\n",
		c.Rate, c.Duration, c.WarmUp, s.Namespace)
	live := newBenchLive(c.WarmUp + c.Duration)
	plan := c.plan()
	plan.Watch, plan.Grace = live.show, s.Timeout
	report, err := openloop.Run(ctx, plan, commands)
	live.finish()
	if err != nil {
		return err
	}
	if err := s.print(os.Stdout, report, func() string { return benchInWords(report) }); err != nil {
		return err
	}
	return benchFailure(report, c.MaxInFlight)
}

// probe reads an aggregate, to find out before anything is written whether a worker answers and
// knows the aggregate type.
func (c *benchCommand) probe(ctx context.Context, maestro *client.Client) error {
	_, err := maestro.Get(ctx, c.Type, c.IDs+"0", client.GetOptions{Cached: true})
	return err
}

// connections opens several connections.
func (s *shared) connections(n int) (conns []*nats.Conn, err error) {
	for range n {
		nc, err := s.connect()
		if err != nil {
			closeAll(conns)
			return nil, err
		}
		conns = append(conns, nc)
	}
	return conns, nil
}

func closeAll(conns []*nats.Conn) {
	for _, nc := range conns {
		nc.Close()
	}
}
