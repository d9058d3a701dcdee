package client

import (
	"context"
	"iter"
	"math"
	"time"

	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/maestro-es/maestro/protocol"
)

// ImportOptions say how [Client.Import] works.
type ImportOptions struct {
	// Wait makes Import wait for the outcome of each command. Without Wait, Import returns when all
	// commands are stored.
	Wait bool
	// Progress, if not nil, is called from time to time. It is never called by two goroutines at
	// once.
	Progress func(Progress)
}

// Progress says how far an import has come.
type Progress struct {
	// Stored counts the commands that are in the stream, Answered those that have an outcome.
	Stored, Answered int
	// Resent counts the commands that were sent again because no answer came for a while.
	Resent int
}

// Summary is the result of an import.
type Summary struct {
	// Commands is how many commands were stored in the stream. With Wait, the counts below have each
	// of them once.
	Commands  int `json:"commands"`
	Committed int `json:"committed"`
	Rejected  int `json:"rejected"`
	// Duplicate counts the commands that had been handled before, whatever their first outcome.
	Duplicate int `json:"duplicate"`
	Failed    int `json:"failed"`
	// Seconds is how long the import took. PerSecond is the number of commands per second.
	Seconds   float64 `json:"seconds"`
	PerSecond int     `json:"per_second"`
	// NewIDs counts the commands that came without an id. Importing these commands again would handle
	// them again.
	NewIDs int `json:"-"`
	// Refused has the first of the rejected and failed commands.
	Refused []protocol.Outcome `json:"-"`
}

const (
	// importBatch is how many commands are stored between two confirmations, and how many are read
	// ahead.
	importBatch = 1000
	// maxInFlight and maxInFlightBytes bound the commands that are stored and not yet answered.
	maxInFlight      = 20_000
	maxInFlightBytes = 64 << 20
	// maxRefused is how many rejected and failed commands a summary shows.
	maxRefused = 10
)

// Import stores many commands in the durable stream, in order. It keeps the order when the
// connection breaks, because it continues with the first command that is not known to be stored.
// Importing the same commands again is safe if they have ids.
//
// With [ImportOptions.Wait] at most 20,000 commands or 64 MiB are in flight. After
// [Options.Resend] without any answer, Import stores the unanswered commands again. A worker that
// died between commit and answer therefore delays an import and does not stop it.
//
// Import returns the error of the sequence commands, a *[LineError] for the first command that
// cannot be sent, the error of the context, or the error of the stream after it took nothing for a
// minute. The summary is valid in each case. If reading the next command blocks, Import returns
// without waiting for it.
func (c *Client) Import(ctx context.Context, commands iter.Seq2[Command, error], o ImportOptions) (s Summary, err error) {
	ctx, span := c.traceImport(ctx)
	defer func() {
		span.SetAttributes(semconv.MessagingBatchMessageCount(s.Commands))
		endSpan(span, &err)
	}()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	i, err := c.newImport(ctx, o)
	if err != nil {
		return Summary{}, err
	}
	defer i.flight.close()
	start := time.Now()
	go i.read(ctx, commands)
	err = i.run(ctx)
	s = i.summary()
	s.Seconds = math.Round(time.Since(start).Seconds()*1000) / 1000
	s.PerSecond = int(float64(s.Commands) / time.Since(start).Seconds())
	return s, err
}
