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
	// Wait waits for the outcome of each command. Without it Import returns when all are stored.
	Wait bool
	// Progress, if not nil, is called from time to time, never by two goroutines at once.
	Progress func(Progress)
}

// Progress is how far an import has come.
type Progress struct {
	// Stored commands are in the stream, Answered ones have an outcome.
	Stored, Answered int
	// Resent counts the commands that were sent again because no answer came for a while.
	Resent int
}

// Summary is what became of an import.
type Summary struct {
	// Commands is how many were stored in the stream. With Wait each is counted below, once.
	Commands  int `json:"commands"`
	Committed int `json:"committed"`
	Rejected  int `json:"rejected"`
	// Duplicate commands were handled before, whatever became of them then.
	Duplicate int `json:"duplicate"`
	Failed    int `json:"failed"`
	// Seconds is how long the import took, PerSecond the commands in one.
	Seconds   float64 `json:"seconds"`
	PerSecond int     `json:"per_second"`
	// NewIDs counts the commands that came without an id: to import them again would handle them
	// again.
	NewIDs int `json:"-"`
	// Refused are the first of the rejected and failed commands.
	Refused []protocol.Outcome `json:"-"`
}

const (
	// importBatch is how many commands are stored between two confirmations, and how many are read
	// ahead.
	importBatch = 1000
	// maxInFlight and maxInFlightBytes bound the commands that are stored and not answered.
	maxInFlight      = 20_000
	maxInFlightBytes = 64 << 20
	// maxRefused is how many rejected and failed commands a summary shows.
	maxRefused = 10
)

// Import stores many commands in the durable stream, in their order, and keeps that order when the
// way there breaks in the middle: it goes on with the first command that is not known to be stored.
// To import the same commands again is safe where they have ids.
//
// With [ImportOptions.Wait] at most 20,000 commands or 64 MiB are in flight. After [Options.Resend]
// without an answer those that lack one are stored again, so that a worker that died between commit
// and answer delays an import and does not stop it.
//
// The error is that of the commands' sequence or the first command that cannot be sent (a
// *[LineError]), the context's, or the stream's when it took nothing for a minute. The summary
// holds in each case. A read that blocks is left behind.
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
