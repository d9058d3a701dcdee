package faults

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/client"
)

var (
	backlogFlag = flag.Int("backlog", 100, "how many commands of half a megabyte TestABacklogWhilePostgresStandsStill sends")
	intakeFlag  = flag.Int("intake", 16<<20, "the --intake-bytes of its worker")
)

// All processes of Postgres stand still while durable commands of half a megabyte come. The worker
// holds as many as its budget allows, and handles all commands when Postgres goes on.
func TestABacklogWhilePostgresStandsStill(t *testing.T) {
	t.Parallel()
	const size = 500_000
	address := "127.0.0.1:" + strconv.Itoa(freePort(t))
	w := newWorld(t, shape{brokers: 1, workers: 1, started: 1, partitions: 4, env: []string{"MAESTRO_HTTP=" + address,
		fmt.Sprint("MAESTRO_INTAKE_BYTES=", *intakeFlag), "MAESTRO_CACHE_BYTES=1048576"}})
	ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
	defer cancel()
	before := w.workers[0].memory(t, "VmRSS")
	require.NoError(t, w.database.primary.Pause())
	clients := w.client(w.nats, patience)
	data := json.RawMessage(`{"by": 1, "padding": "` + strings.Repeat("x", size) + `"}`)
	for i := range *backlogFlag {
		_, err := clients.Send(ctx, client.Command{Aggregate: "counter", AggregateID: fmt.Sprint(i), Name: "increment", Data: data})
		require.NoError(t, err)
	}
	most := 0.0
	intake := func() float64 {
		now := metric(ctx, t, address, "maestro_intake_size_bytes")
		require.LessOrEqual(t, now, float64(*intakeFlag))
		most = max(most, now)
		return now
	}
	require.NoError(t, poll(ctx, func() bool { return intake() >= float64(*intakeFlag)/4 }))
	still := w.workers[0].memory(t, "VmRSS")
	require.NoError(t, w.database.primary.Continue())
	require.NoError(t, poll(ctx, func() bool {
		_ = intake()
		handled := 0
		require.NoError(t, w.pool.QueryRow(ctx, "select count(*) from "+w.table("receipts")).Scan(&handled))
		return handled == *backlogFlag
	}))
	require.NoError(t, poll(ctx, func() bool { return intake() == 0 }))
	t.Logf("%d commands of %d bytes, an intake of %d MiB: at most %.0f MiB of it used; the worker had %d MiB before, %d MiB while Postgres "+
		"stood still, at most %d MiB", *backlogFlag, size, *intakeFlag>>20, most/(1<<20), before, still, w.workers[0].memory(t, "VmHWM"))
}

// memory returns the kernel's figure for the process's memory, in MiB. VmRSS is the present memory,
// VmHWM the most so far.
func (w *worker) memory(t *testing.T, what string) int {
	t.Helper()
	_, pid := w.current()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	require.NoError(t, err)
	line := regexp.MustCompile(what + `:\s*(\d+) kB`).FindSubmatch(status)
	require.NotNil(t, line, "%s", status)
	kib, err := strconv.Atoi(string(line[1]))
	require.NoError(t, err)
	return kib >> 10
}
