// Command worker runs a Maestro worker with the example aggregates: it handles the commands of a NATS server, commits
// their events to Postgres and publishes them.
//
//	go run ./cmd/worker --dev
//
// is a whole system in one process, for trials. A worker of your own is a copy of this folder with your aggregates in
// place of the examples.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/maestro-es/maestro/internal/release"
	"github.com/maestro-es/maestro/internal/timerslack"
)

type commandLine struct {
	Run         runCommand         `cmd:"" default:"withargs" help:"Handle commands until a signal ends it (the default)."`
	Migrate     migrateCommand     `cmd:"" help:"Bring the database up to date, or print the SQL that would."`
	Republish   republishCommand   `cmd:"" help:"Rebuild the event stream from the log. Stop the workers first."`
	Repartition repartitionCommand `cmd:"" help:"Change the number of partitions. Stop publishers and workers first."`
	Version     kong.VersionFlag   `help:"Print the version."`
}

func main() {
	timerslack.Raise(time.Millisecond) // nothing here waits for so short a time
	os.Exit(run(os.Args[1:]))
}

// run is main with an exit status: 0 done, 1 failed, 2 wrong usage.
func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	parser, err := kong.New(&commandLine{}, kong.Name("worker"),
		kong.Description("Maestro: event-sourced command processing on NATS and Postgres."),
		kong.UsageOnError(), kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Vars{"version": release.Version()})
	if err != nil {
		return fail(err)
	}
	parsed, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintf(os.Stderr, "worker: %s\nTry: worker --help\n", err)
		return 2
	}
	if err := parsed.Run(); err != nil {
		return fail(err)
	}
	return 0
}

func fail(err error) int {
	fmt.Fprintln(os.Stderr, "worker:", err)
	return 1
}
