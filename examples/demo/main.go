// Command demo shows the main job from end to end, with real servers that it starts and removes
// itself. Travel expense declarations come in as commands on NATS. They are decided, committed to
// Postgres and published, while a read model follows.
//
//	make demo
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/maestro-es/maestro"
	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/client"
	"github.com/maestro-es/maestro/examples/counter"
	"github.com/maestro-es/maestro/examples/declaration"
	"github.com/maestro-es/maestro/internal/generate"
	"github.com/maestro-es/maestro/internal/localnats"
	"github.com/maestro-es/maestro/internal/localpg"
)

func main() {
	commands := flag.Int("n", 20_000, "commands to import")
	seed := flag.Uint64("seed", 1, "another seed makes up other declarations")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := demo(ctx, *commands, *seed)
	stop()
	if err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func demo(ctx context.Context, commands int, seed uint64) error {
	fmt.Println("Starting a throwaway Postgres and a nats-server with JetStream ...")
	postgres, err := localpg.Start(ctx, localpg.Options{})
	if err != nil {
		return err
	}
	defer func() { _ = postgres.Stop() }()
	dir, err := os.MkdirTemp("", "maestro-demo-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	server, err := localnats.Start(localnats.Options{Dir: filepath.Join(dir, "jetstream")})
	if err != nil {
		return err
	}
	defer server.Stop()
	pool, err := pgxpool.New(ctx, postgres.URL())
	if err != nil {
		return err
	}
	defer pool.Close()
	nc, err := nats.Connect(server.URL())
	if err != nil {
		return err
	}
	defer nc.Close()
	fmt.Printf("  Postgres   %s\n  NATS       %s\n\n", postgres.URL(), server.URL())
	return work(ctx, pool, nc, func() error { return show(ctx, os.Stdout, pool, nc, commands, seed) })
}

// work runs a worker while do runs, then stops the worker like a signal would.
func work(ctx context.Context, pool *pgxpool.Pool, nc *nats.Conn, do func() error) error {
	worker, err := maestro.New(ctx, maestro.Config{
		NATS: nc, Database: pool,
		Aggregates:  []aggregate.Type{declaration.Definition, counter.Definition},
		Projections: append(declaration.Projections(), counter.Projections()...),
		Logger:      slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	stopped := make(chan error, 1)
	go func() { stopped <- worker.Run(ctx) }()
	for worker.Ready(ctx) != nil {
		select {
		case err := <-stopped:
			return err
		case <-time.After(10 * time.Millisecond):
		}
	}
	fmt.Printf("A worker is ready: it owns %d partitions.\n\n", worker.Partitions())
	err = do()
	stop()
	return errors.Join(err, <-stopped)
}

// show imports the commands and shows the results.
func show(ctx context.Context, out io.Writer, pool *pgxpool.Pool, nc *nats.Conn, commands int, seed uint64) error {
	c, err := client.New(nc, client.Options{})
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(out, "Importing %d commands of declarations, made up from seed %d:\n", commands, seed)
	bar := progressbar.NewOptions(commands, progressbar.OptionSetWriter(os.Stderr), progressbar.OptionSetWidth(40),
		progressbar.OptionSetVisibility(term.IsTerminal(int(os.Stderr.Fd()))), progressbar.OptionThrottle(50*time.Millisecond),
		progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString("commands"))
	summary, err := c.Import(ctx, withoutErrors(generate.Declarations(seed, commands)), client.ImportOptions{Wait: true,
		Progress: func(p client.Progress) { _ = bar.Set(p.Answered) }})
	_ = bar.Finish()
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(out, "\n%d commands in %.1f s (%d a second): %d committed, %d rejected by the rules, %d failed\n",
		summary.Commands, summary.Seconds, summary.PerSecond, summary.Committed, summary.Rejected, summary.Failed)
	if err := showTotals(ctx, out, pool); err != nil {
		return err
	}
	if err := showEvents(ctx, out, pool, nc); err != nil {
		return err
	}
	showNext(out)
	return nil
}

func withoutErrors(commands iter.Seq[client.Command]) iter.Seq2[client.Command, error] {
	return func(yield func(client.Command, error) bool) {
		for command := range commands {
			if !yield(command, nil) {
				return
			}
		}
	}
}

// showTotals prints the totals of the read model. Every commit kept the read model in step with the
// log.
func showTotals(ctx context.Context, out io.Writer, pool *pgxpool.Pool) error {
	rows, err := pool.Query(ctx, `select status, count(*), sum(amount_cents) from maestro_read.declaration_status
		group by status order by 2 desc`)
	if err != nil {
		return err
	}
	defer rows.Close()
	_, _ = fmt.Fprintf(out, "\nThe read model, in Postgres (maestro_read.declaration_status):\n\n  %-18s %8s %16s\n",
		"status", "count", "amount")
	for rows.Next() {
		var status string
		var count, cents int64
		if err := rows.Scan(&status, &count, &cents); err != nil {
			return err
		}
		_, _ = fmt.Fprintf(out, "  %-18s %8d %13d.%02d\n", status, count, cents/100, cents%100)
	}
	return rows.Err()
}

// showEvents counts the events in the log. It also counts those in the stream, once the stream has
// caught up.
func showEvents(ctx context.Context, out io.Writer, pool *pgxpool.Pool, nc *nats.Conn) error {
	var inLog uint64
	if err := pool.QueryRow(ctx, `select coalesce(sum(position), 0) from maestro.partitions`).Scan(&inLog); err != nil {
		return err
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		inStream, err := countEvents(ctx, js)
		if err != nil {
			return fmt.Errorf("%d events in the log, %d in the stream: %w", inLog, inStream, err)
		}
		if inStream == inLog {
			_, _ = fmt.Fprintf(out, "\n%d events are in the log, and as many in the stream MAESTRO_EVENTS.\n", inLog)
			return nil
		}
	}
}

func countEvents(ctx context.Context, js jetstream.JetStream) (events uint64, err error) {
	stream, err := js.Stream(ctx, "MAESTRO_EVENTS")
	if err != nil {
		return 0, err
	}
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter("maestro.evt.>"))
	if err != nil {
		return 0, err
	}
	for _, count := range info.State.Subjects {
		events += count
	}
	return events, nil
}

func showNext(out io.Writer) {
	_, _ = fmt.Fprint(out, `
What to try next:
  go run ./cmd/worker --dev                                       a worker with its own NATS and Postgres
  go run ./cmd/publisher request counter 42 increment '{"by":1}'   a command, and its outcome
  go run ./cmd/publisher watch                                    the events as they come
  go run ./cmd/publisher --help                                   everything else
`)
}
