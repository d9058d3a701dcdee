package main

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/internal/openloop"
)

var shortBench = []string{"bench", "counter", "increment", `{"by":1}`, "--rate", "200", "--duration", "500ms", "--warm-up", "100ms", "--aggregates", "5",
	"--timeout", "1m"}

func TestBenchMeasuresCommands(t *testing.T) {
	t.Parallel()
	environment := runWorker(t)
	for _, mode := range []string{"request", "send"} {
		got := runIn(t, environment, append(shortBench, "--mode", mode, "--json")...)
		require.Equal(t, 0, got.status, got.err)
		require.Contains(t, got.err, "this writes real events")
		var report openloop.Report
		require.NoError(t, json.Unmarshal([]byte(got.out), &report))
		require.Equal(t, []int{100, 100, 0, 0}, []int{report.Commands, report.Committed, report.Failed, report.Unsent})
		require.InDelta(t, 200, report.Asked, 0)
		q := report.Latency
		require.IsIncreasing(t, []float64{0, q.P50, q.Max + 1})
		require.IsNonDecreasing(t, []float64{q.P50, q.P90, q.P99, q.P999, q.Max})
	}

	got := runIn(t, append(environment, "MAESTRO_BENCH_HOT=1", "MAESTRO_BENCH_IDS=hot-", "MAESTRO_BENCH_CONNECTIONS=2"), shortBench...)
	require.Equal(t, 0, got.status, got.err)
	require.Contains(t, got.out, "100 commands in ")
	require.Contains(t, got.out, "committed 100, rejected 0, failed 0, unanswered 0")
	require.Regexp(t, `(?m)^ +p50 +p90 +p99 +p99\.9 +max$`, got.out)
	require.Regexp(t, `(?m)^ *from due to answered( +\d+\.\d+ m?s){5}$`, got.out)
	require.Contains(t, runIn(t, environment, "get", "counter", "hot-0").out, "counter hot-0 at sequence 120\n", "20 more to warm up")
}

func TestBenchTellsWhatFailed(t *testing.T) {
	t.Parallel()
	environment := runWorker(t)
	got := runIn(t, environment, "bench", "ghost", "increment")
	require.Equal(t, 1, got.status)
	require.Contains(t, got.err, "unknown_aggregate", "before anything is sent")
	require.Empty(t, got.out)

	got = runIn(t, environment, "bench", "counter", "explode", "--rate", "100", "--duration", "100ms", "--warm-up", "0s", "--timeout", "1m")
	require.Equal(t, 1, got.status)
	require.Contains(t, got.out, "unknown_command: 10")
	require.Contains(t, got.err, "publisher: commands that failed: 10, without an answer: 0")

	got = runIn(t, environment, "bench", "counter", "increment", `{"by":-1}`, "--rate", "100", "--duration", "100ms", "--warm-up", "0s",
		"--timeout", "1m")
	require.Equal(t, 0, got.status, "a rejected command has not failed: %s", got.err)
	require.Contains(t, got.out, "invalid_amount: 10")
}

func TestBenchThatIsInterruptedTellsWhatItMeasured(t *testing.T) {
	t.Parallel()
	environment := runWorker(t)
	cmd := publisher(t.Context(), environment, "bench", "counter", "increment", "--rate", "500", "--duration", "1h", "--warm-up", "0s",
		"--aggregates", "1")
	finish := start(t, cmd)
	untilAt(t, environment, "bench-0", `at sequence [1-9]`)
	require.NoError(t, cmd.Process.Signal(os.Interrupt))
	got := finish()
	require.Equal(t, 0, got.status, got.err)
	require.Regexp(t, `^\d+ commands in \d+\.\d s: \d+ a second, asked for 500, ended early\n`, got.out)
	require.Regexp(t, `committed [1-9]\d*, rejected 0, failed 0, unanswered 0`, got.out)
}
