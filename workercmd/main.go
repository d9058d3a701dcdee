// Package workercmd is the worker program. Give it your aggregates and projections, and you have a
// complete worker with commands, flags, environment variables, --dev, metrics, probes, tracing and
// a clean stop.
//
//	func main() {
//		workercmd.Main(workercmd.Program{
//			Aggregates:  []aggregate.Type{account.Definition},
//			Projections: []*projections.Projection{account.Overview},
//		})
//	}
//
// The program's commands are run (the default), migrate, republish and repartition; --help lists
// their flags. The program cmd/worker in this repository is made the same way, with the examples as
// its aggregates.
//
// The package holds no rule of the engine. Programs that wire a worker by themselves use package
// maestro instead.
package workercmd

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/maestro-es/maestro"
	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/internal/connect"
	"github.com/maestro-es/maestro/internal/release"
	"github.com/maestro-es/maestro/internal/timerslack"
	"github.com/maestro-es/maestro/projections"
)

// Program configures a worker program. Only Aggregates is required.
type Program struct {
	// Name is the program's name in its help and its errors. The default is the name of the
	// executable file.
	Name string
	// Aggregates are the aggregate types whose commands the worker handles.
	Aggregates []aggregate.Type
	// Projections are the read models that the worker keeps.
	Projections []*projections.Projection
	// Settings adds flags to the program. It is a pointer to a struct with the field tags of
	// package github.com/alecthomas/kong, such as `env:"PRICE_LIST" help:"..."`. The fields have
	// their values when Configure is called.
	Settings any
	// Configure changes the worker's configuration after the flags were read and before the worker
	// starts. An error ends the program.
	Configure func(ctx context.Context, c *maestro.Config) error
	// Commands are added to the program's own.
	Commands []Command
}

// Command is a command that a program adds to those of every worker.
type Command struct {
	// Name is the word that the user types, Help one line about the command.
	Name, Help string
	// Run is a pointer to a struct with a method Run that returns an error. Its fields are the
	// command's flags and arguments, with the tags of package github.com/alecthomas/kong. The
	// method may take a context.Context, which ends with the first SIGINT or SIGTERM.
	Run any
}

type commandLine struct {
	Run         runCommand         `cmd:"" default:"withargs" help:"Handle commands until a signal ends it (the default)."`
	Migrate     migrateCommand     `cmd:"" help:"Bring the database up to date, or print the SQL that would."`
	Republish   republishCommand   `cmd:"" help:"Rebuild the event stream from the log. Stop the workers first."`
	Repartition repartitionCommand `cmd:"" help:"Change the number of partitions. Stop publishers and workers first."`
	Version     kong.VersionFlag   `help:"Print the version."`
}

// Main runs the program with the arguments of the process, and then ends the process. The exit
// status is 0 when the work is done, 1 when it failed, 2 for wrong usage. SIGINT and SIGTERM stop
// the program in order. A second signal stops it at once.
//
// Call Main first in your main function, because on Linux it executes the program once more, under
// the same process id, to give all its threads a larger timer slack.
func Main(p Program) {
	timerslack.Raise(time.Millisecond) // no timer here needs to be more exact
	os.Exit(p.run(os.Args))
}

// run does the work of Main and returns the exit status.
func (p Program) run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	if p.Name == "" {
		p.Name = filepath.Base(args[0])
	}
	parser, err := kong.New(&commandLine{}, append(p.own(),
		kong.Name(p.Name), kong.Description("Maestro: event-sourced command processing on NATS and Postgres."),
		kong.UsageOnError(), kong.BindTo(ctx, (*context.Context)(nil)), kong.Bind(&p),
		kong.Vars{"version": release.Version()})...)
	if err != nil {
		return p.fail(err)
	}
	connect.WithoutEmpty(parser)
	parsed, err := parser.Parse(args[1:])
	if err != nil {
		fmt.Fprintf(os.Stderr, "%[1]s: %[2]s\nTry: %[1]s --help\n", p.Name, err)
		return 2
	}
	if err := parsed.Run(); err != nil {
		return p.fail(err)
	}
	return 0
}

// own returns the flags and commands that the program adds.
func (p Program) own() (options []kong.Option) {
	if p.Settings != nil {
		options = append(options, kong.Embed(p.Settings))
	}
	for _, c := range p.Commands {
		options = append(options, kong.DynamicCommand(c.Name, c.Help, "", c.Run))
	}
	return options
}

func (p Program) fail(err error) int {
	fmt.Fprintf(os.Stderr, "%s: %s\n", p.Name, err)
	return 1
}
