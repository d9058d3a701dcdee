package openloop_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro"
	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/client"
	"github.com/maestro-es/maestro/examples/counter"
	"github.com/maestro-es/maestro/internal/localnats"
	"github.com/maestro-es/maestro/internal/openloop"
	"github.com/maestro-es/maestro/store"
)

// patience is far longer than anything takes.
const patience = time.Minute

func startWorker(t *testing.T, s *localnats.Server) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	nc := s.Connect(t)
	stopped := make(chan error, 1)
	go func() {
		stopped <- maestro.Run(ctx, maestro.Config{NATS: nc, Store: store.NewMemory(4), Logger: slog.New(slog.DiscardHandler),
			Aggregates: []aggregate.Type{counter.Definition}})
	}()
	t.Cleanup(func() {
		stop()
		require.NoError(t, <-stopped)
	})
}

func increments(t *testing.T, data string) openloop.Load {
	t.Helper()
	parsed, err := openloop.ParseData(data)
	require.NoError(t, err)
	return openloop.Load{Aggregate: "counter", Command: "increment", Data: parsed, Aggregates: 3, IDs: "c-"}
}

func commands(t *testing.T, timeout time.Duration, load openloop.Load, conns ...*nats.Conn) *openloop.Commands {
	t.Helper()
	c, err := openloop.NewCommands(conns, "maestro", client.NewID(), load, timeout)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

var short = openloop.Plan{Rate: 500, Duration: 100 * time.Millisecond, Grace: patience}

func TestCommandsAreCommittedOnceEach(t *testing.T) {
	t.Parallel()
	s := localnats.ForTest(t)
	startWorker(t, s)
	total := 0
	for _, durable := range []bool{false, true} {
		load := increments(t, `{"by":2}`)
		load.Durable = durable
		report, err := openloop.Run(t.Context(), short, commands(t, patience, load, s.Connect(t), s.Connect(t)))
		require.NoError(t, err)
		require.Equal(t, []int{50, 50}, []int{report.Commands, report.Committed}, "durable %t: %v", durable, report.Reasons)
		require.Positive(t, report.Latency.P50)
		total += 50
	}
	maestro, err := client.New(s.Connect(t), client.Options{})
	require.NoError(t, err)
	sum := int64(0)
	for _, id := range []string{"c-0", "c-1", "c-2"} {
		state, err := maestro.Get(t.Context(), "counter", id, client.GetOptions{})
		require.NoError(t, err)
		sum += state.Sequence
	}
	require.EqualValues(t, total, sum)
}

func TestOutcomesAreCounted(t *testing.T) {
	t.Parallel()
	s := localnats.ForTest(t)
	startWorker(t, s)
	for _, durable := range []bool{false, true} {
		load := increments(t, `{"by":-{{.N}}}`)
		load.Durable = durable
		report, err := openloop.Run(t.Context(), short, commands(t, patience, load, s.Connect(t)))
		require.NoError(t, err)
		require.Equal(t, 50, report.Rejected)
		require.Equal(t, map[string]int{"invalid_amount": 50}, report.Reasons)

		load.Command = "explode"
		report, err = openloop.Run(t.Context(), short, commands(t, patience, load, s.Connect(t)))
		require.NoError(t, err)
		require.Equal(t, 50, report.Failed)
		require.Equal(t, map[string]int{"unknown_command": 50}, report.Reasons)
	}
}

// Nobody answers at first. The worker starts when the sender has noticed that.
func TestCommandsWaitForAWorker(t *testing.T) {
	t.Parallel()
	for name, durable := range map[string]bool{"request": false, "send": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := localnats.ForTest(t)
			load := increments(t, "")
			load.Durable = durable
			noticed, done := make(chan struct{}), make(chan openloop.Report, 1)
			notice := sync.OnceFunc(func() { close(noticed) })
			c := commands(t, patience, load, s.Connect(t))
			go func() {
				report, err := openloop.Run(t.Context(), openloop.Plan{Rate: 20, Duration: 3 * time.Second, Grace: patience,
					Watch: func(openloop.Moment) { notice() }}, c)
				assert.NoError(t, err)
				done <- report
			}()
			<-noticed
			startWorker(t, s)
			report := <-done
			require.Equal(t, []int{60, 60}, []int{report.Commands, report.Committed}, "%v", report.Reasons)
			require.Positive(t, report.Resent)
			require.GreaterOrEqual(t, report.Latency.Max, 900., "the first waited for the worker")
		})
	}
}

func TestWithoutAnAnswerACommandIsGivenUp(t *testing.T) {
	t.Parallel()
	s := localnats.ForTest(t)
	report, err := openloop.Run(t.Context(), short, commands(t, 300*time.Millisecond, increments(t, ""), s.Connect(t)))
	require.NoError(t, err)
	require.Equal(t, []int{50, 50}, []int{report.Commands, report.Unanswered})
	require.GreaterOrEqual(t, report.Latency.P50, 300., "it counts with the time for which it was waited for")
	require.Zero(t, report.PerSecond)
}
