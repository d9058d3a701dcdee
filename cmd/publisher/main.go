// Command publisher is Maestro on the command line: it sends commands, reads states and histories,
// imports files and watches events.
//
//	publisher request counter 42 increment '{"by": 1}'
//
// Like every client, it connects only to NATS. Exit status: 0 done, 1 rejected or failed, 2 wrong
// usage.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/maestro-es/maestro/client"
	"github.com/maestro-es/maestro/internal/connect"
	"github.com/maestro-es/maestro/internal/recording"
	"github.com/maestro-es/maestro/internal/release"
)

type commandLine struct {
	shared
	Send     sendCommand      `cmd:"" help:"Store a command in the durable stream: it will be handled, whatever happens."`
	Request  requestCommand   `cmd:"" help:"Have a command handled now and print the outcome."`
	Get      getCommand       `cmd:"" help:"Print the state of an aggregate, as it is or as it was."`
	History  historyCommand   `cmd:"" help:"Print the events of an aggregate."`
	Snapshot snapshotCommand  `cmd:"" help:"Have a snapshot of an aggregate stored, from which it is loaded then."`
	Watch    watchCommand     `cmd:"" help:"Print events as they are published."`
	Import   importCommand    `cmd:"" help:"Send the commands of a file, in order."`
	Generate generateCommand  `cmd:"" help:"Make up commands to import, for trials."`
	Bench    benchCommand     `cmd:"" help:"Put a steady load on the workers and show the latencies. Writes real events."`
	NewID    newIDCommand     `cmd:"" name:"new-id" help:"Print a new command id."`
	Version  kong.VersionFlag `help:"Print the version."`
}

func main() {
	os.Exit(run(os.Args[1:]))
}

// run does the work of main and returns the exit status.
func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	var line commandLine
	parser, err := kong.New(&line, kong.Name("publisher"),
		kong.Description("Maestro on the command line: send commands, read aggregates, import files, watch events."),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}), kong.Vars{"version": release.Version()},
		kong.BindTo(ctx, (*context.Context)(nil)), kong.Bind(&line.shared))
	if err != nil {
		return fail(err)
	}
	connect.WithoutEmpty(parser)
	parsed, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintf(os.Stderr, "publisher: %s\nTry: %s --help\n", err, selected(err))
		return 2
	}
	recorded, err := recording.Setup(ctx, recording.Program{Name: "maestro-publisher", Version: release.Version(), Getenv: os.Getenv})
	if err != nil {
		return fail(err)
	}
	defer func() { _ = recorded.Stop(ctx) }()
	return fail(parsed.Run())
}

// selected returns the command that the parser recognised before the error.
func selected(err error) string {
	var wrong *kong.ParseError
	if errors.As(err, &wrong) && wrong.Context.Selected() != nil {
		return wrong.Context.Selected().FullPath()
	}
	return "publisher"
}

// errNotCommitted says that a command was not committed. Its outcome is printed already.
var errNotCommitted = errors.New("not committed")

// fail reports an error and returns the exit status.
func fail(err error) int {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errNotCommitted):
		return 1
	}
	fmt.Fprintln(os.Stderr, "publisher:", err)
	var line *client.LineError
	if errors.Is(err, client.ErrInvalid) && !errors.As(err, &line) {
		return 2
	}
	return 1
}
