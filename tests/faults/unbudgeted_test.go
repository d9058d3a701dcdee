package faults

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/client"
)

// Commands of half a megabyte wait while Postgres takes none. A worker holds as many as its budget
// allows, and handles all of them afterwards. Without the budget it holds all that wait.
func TestWithoutTheBudgetAWorkerHoldsWhateverWaits(t *testing.T) {
	t.Parallel()
	const size, commands, budget, heap = 500_000, 600, 16 << 20, 200 << 20
	for tag, unbounded := range map[string]bool{"": false, "maestro_unbudgeted": true} {
		t.Run("without "+tag, func(t *testing.T) {
			t.Parallel()
			address := "127.0.0.1:" + strconv.Itoa(freePort(t))
			w := newWorld(t, shape{brokers: 1, workers: 1, started: 1, partitions: 4, tag: tag, env: []string{"MAESTRO_HTTP=" + address,
				fmt.Sprint("MAESTRO_INTAKE_BYTES=", budget), "MAESTRO_CACHE_BYTES=1048576"}})
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			tx, err := w.pool.Begin(ctx)
			require.NoError(t, err)
			_, err = tx.Exec(ctx, "lock table "+w.table("log")+" in exclusive mode") // a commit waits, everything else goes on
			require.NoError(t, err)
			clients := w.client(w.nats, patience)
			data := json.RawMessage(`{"by": 1, "padding": "` + strings.Repeat("x", size) + `"}`)
			for i := range commands {
				_, err := clients.Send(ctx, client.Command{Aggregate: "counter", AggregateID: fmt.Sprint(i), Name: "increment", Data: data})
				require.NoError(t, err)
			}
			gauge := func(name string) float64 { return metric(ctx, t, address, name) }
			const intake = "maestro_intake_size_bytes"
			least := float64(budget) / 4
			if unbounded {
				least = commands * size * 3 / 4
			}
			require.NoError(t, poll(ctx, func() bool { return gauge(intake) >= least }))
			require.NoError(t, tx.Rollback(ctx))
			if unbounded {
				return
			}
			require.NoError(t, poll(ctx, func() bool {
				require.LessOrEqual(t, gauge(intake), float64(budget))
				require.LessOrEqual(t, gauge("go_memstats_heap_inuse_bytes"), float64(heap))
				handled := 0
				require.NoError(t, w.pool.QueryRow(ctx, "select count(*) from "+w.table("receipts")).Scan(&handled))
				return handled == commands
			}))
			require.NoError(t, poll(ctx, func() bool { return gauge(intake) == 0 }))
		})
	}
}

// metric reads a gauge of a worker, 0 while the worker does not have it.
func metric(ctx context.Context, t *testing.T, address, name string) (value float64) {
	t.Helper()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/metrics", nil)
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		if line := lines.Text(); strings.HasPrefix(line, name) {
			value, err = strconv.ParseFloat(line[strings.LastIndexByte(line, ' ')+1:], 64)
			require.NoError(t, err)
		}
	}
	return value
}
