package faults

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/client"
	"github.com/maestro-es/maestro/store"
)

// TestFigures measures the figures in docs/performance.md on takeover, handover and outages:
//
//	go test ./tests/faults -run TestFigures -figures -v -timeout 30m
//
// It asserts what must hold on any machine, and prints the rest.
func TestFigures(t *testing.T) {
	if !*figuresFlag {
		t.Skip("it measures for minutes: -figures")
	}
	t.Run("takeover after kill -9", measureTakeover)
	t.Run("handover", measureHandover)
	t.Run("shares", measureShares)
	t.Run("frozen for 30 s", measureFreeze)
	t.Run("postgres away for 30 s", measureOutage)
	t.Run("full command stream", measureFullStream)
}

// stream stores increments for all partitions, one after the other, until stop is called. stop
// returns how many were stored.
func (w *world) stream(perSecond int) (stop func() int) {
	ctx, cancel := context.WithCancel(w.Context())
	done := make(chan int)
	ids := make([]string, w.partitions)
	for p := range ids {
		ids[p] = idIn(p, w.partitions)
	}
	go func() {
		tick := time.NewTicker(time.Second / time.Duration(perSecond))
		defer tick.Stop()
		n := 0
		for {
			select {
			case <-ctx.Done():
				done <- n
				return
			case <-tick.C:
			}
			msg := &nats.Msg{Subject: w.namespace.Send("counter", ids[n%len(ids)], "increment"),
				Header: nats.Header{"Maestro-Command-Id": {fmt.Sprintf("n%09d", n)}}, Data: []byte("{}")}
			if _, err := w.js.PublishMsg(context.WithoutCancel(ctx), msg); err == nil {
				n++
			}
		}
	}()
	return func() int { cancel(); return <-done }
}

func measureTakeover(t *testing.T) {
	w := newWorld(t, shape{brokers: 1, workers: 3, started: 3, partitions: 64})
	stop := w.stream(1000)
	var all []time.Duration
	for n := range 50 {
		v := w.workers[n%3]
		w.balanced(3)
		node, _ := v.current()
		rows, err := w.pool.Query(t.Context(), "select partition from "+w.table("partitions")+" where owner = $1", node)
		require.NoError(t, err)
		owned, err := pgx.CollectRows(rows, pgx.RowTo[int])
		require.NoError(t, err)
		v.end(syscall.SIGKILL, patience)
		death := time.Now()
		for _, p := range owned {
			all = append(all, w.firstCommit(p, death).Sub(death))
		}
		v.start()
	}
	stop()
	slices.Sort(all)
	t.Logf("50 kills, %d partitions changed owner: from the death of a worker to the first commit by its successor: median %s, p99 %s, longest %s",
		len(all), all[len(all)/2].Round(time.Millisecond), all[len(all)*99/100].Round(time.Millisecond), all[len(all)-1].Round(time.Millisecond))
}

// firstCommit waits for the first event in a partition after the given time, and returns the
// event's time.
func (w *world) firstCommit(partition int, after time.Time) (at time.Time) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), patience)
	defer cancel()
	require.NoError(w, poll(ctx, func() bool {
		return w.pool.QueryRow(ctx, "select recorded_at from "+w.table("events")+" where partition = $1 and recorded_at > $2 order by position limit 1",
			partition, after).Scan(&at) == nil
	}))
	return at
}

// balanced waits until n workers share all partitions evenly.
func (w *world) balanced(n int) map[string]int {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), patience)
	defer cancel()
	var shares map[string]int
	require.NoError(w, poll(ctx, func() bool {
		var err error
		if shares, err = w.owners(ctx); err != nil || len(shares) != n {
			return false
		}
		least, most := w.partitions, 0
		living := 0
		for _, v := range w.workers {
			if node, _ := v.current(); shares[node] > 0 {
				living++
				least, most = min(least, shares[node]), max(most, shares[node])
			}
		}
		return living == n && most-least <= 1
	}), "%v", shares)
	return shares
}

// asking sends requests without any help of the client library, and records how long each took.
type asking struct {
	mu      sync.Mutex
	at      []time.Time
	took    []time.Duration
	refused []string
}

func (w *world) ask(clients int) (*asking, func()) {
	a := &asking{}
	ctx, cancel := context.WithCancel(w.Context())
	var group sync.WaitGroup
	for c := range clients {
		nc := w.connect(fmt.Sprint("asking ", c))
		group.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				began := time.Now()
				answer, err := nc.Request(w.namespace.Do("counter", idIn((c+n*clients)%w.partitions, w.partitions), "increment"), []byte("{}"), 5*time.Second)
				var o store.Outcome
				if err == nil && (json.Unmarshal(answer.Data, &o) != nil || o.Status != store.Committed) {
					err = errors.New(string(answer.Data))
				}
				a.mu.Lock()
				a.at, a.took = append(a.at, began), append(a.took, time.Since(began))
				if err != nil {
					a.refused = append(a.refused, err.Error())
				}
				a.mu.Unlock()
				pause(ctx, 5*ms)
			}
		})
	}
	return a, func() { cancel(); group.Wait() }
}

// p99 returns the 99th percentile of the requests that began in one of the windows.
func (a *asking) p99(windows ...[2]time.Time) (p99 time.Duration, n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var in []time.Duration
	for i, at := range a.at {
		for _, w := range windows {
			if at.After(w[0]) && at.Before(w[1]) {
				in = append(in, a.took[i])
				break
			}
		}
	}
	slices.Sort(in)
	if len(in) == 0 {
		return 0, 0
	}
	return in[len(in)*99/100], len(in)
}

func measureHandover(t *testing.T) {
	w := newWorld(t, shape{brokers: 1, workers: 3, started: 3, partitions: 64})
	w.balanced(3)
	a, stop := w.ask(8)
	quiet := [2]time.Time{time.Now()}
	pause(t.Context(), 10*time.Second)
	quiet[1] = time.Now()
	var leaving, joining [][2]time.Time
	for n := range 10 {
		v := w.workers[n%3]
		began := time.Now()
		require.True(t, v.end(syscall.SIGTERM, patience), "SIGTERM must end a worker in order")
		leaving = append(leaving, [2]time.Time{began, time.Now()})
		w.balanced(2)
		began = time.Now()
		v.start()
		w.balanced(3)
		joining = append(joining, [2]time.Time{began, time.Now()})
	}
	stop()
	normal, n := a.p99(quiet)
	left, m := a.p99(leaving...)
	joined, k := a.p99(joining...)
	t.Logf("p99 of requests: undisturbed %s (%d), while a worker leaves %s (%d), while one joins %s (%d); refused: %d",
		normal.Round(100*time.Microsecond), n, left.Round(100*time.Microsecond), m, joined.Round(100*time.Microsecond), k, len(a.refused))
	require.Empty(t, a.refused[:min(len(a.refused), 5)])
}

func measureShares(t *testing.T) {
	w := newWorld(t, shape{brokers: 1, workers: 5, started: 1, partitions: 64})
	stop := w.stream(500)
	for before, n := range []int{1, 4, 5, 3} {
		owned := w.byPartition()
		for i, v := range w.workers {
			if i < n {
				v.start()
			} else if node, _ := v.current(); node != "" {
				require.True(t, v.end(syscall.SIGTERM, patience))
			}
		}
		shares := w.balanced(n)
		moved := 0
		for p, node := range w.byPartition() {
			if owned[p] != node {
				moved++
			}
		}
		t.Logf("%d workers: %v, %d of 64 partitions moved", n, shares, moved)
		if before == 2 {
			require.LessOrEqual(t, moved, 13, "from 4 to 5 workers")
		}
	}
	stop()
}

func (w *world) byPartition() []string {
	w.Helper()
	rows, err := w.pool.Query(w.Context(), "select owner from "+w.table("partitions")+" order by partition")
	require.NoError(w, err)
	owners, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(w, err)
	return owners
}

func measureFreeze(t *testing.T) {
	w := newWorld(t, shape{brokers: 1, workers: 3, started: 3, partitions: 64})
	w.balanced(3)
	stop := w.stream(500)
	pause(t.Context(), 2*time.Second)
	frozen := w.workers[1]
	frozen.signal(syscall.SIGSTOP)
	pause(t.Context(), 30*time.Second)
	sent := stop()
	require.NoError(t, w.drain(t.Context()))
	before, err := w.collect(t.Context())
	require.NoError(t, err)
	frozen.signal(syscall.SIGCONT)
	shares := w.balanced(3)
	after, err := w.collect(t.Context())
	require.NoError(t, err)
	require.Equal(t, before.log, after.log)
	require.Equal(t, before.stream, after.stream)
	t.Logf("%d commands while a worker stood still for 30 s; it changed nothing when it woke, and works again: %v", sent, shares)
}

func measureOutage(t *testing.T) {
	address := "127.0.0.1:" + strconv.Itoa(freePort(t))
	w := newWorld(t, shape{brokers: 1, workers: 1, started: 1, partitions: 64, env: []string{"MAESTRO_HTTP=" + address}})
	stop := w.stream(500)
	a, stopAsking := w.ask(8)
	pause(t.Context(), 5*time.Second)
	t.Logf("before: %s", w.usage(address))
	require.NoError(t, w.database.primary.Halt("fast"))
	for range 3 {
		pause(t.Context(), 10*time.Second)
		t.Logf("without Postgres: %s", w.usage(address))
	}
	require.NoError(t, w.database.primary.Resume())
	pause(t.Context(), 5*time.Second)
	t.Logf("after: %s", w.usage(address))
	sent := stop()
	stopAsking()
	require.NoError(t, w.drain(t.Context()))
	e, err := w.collect(t.Context())
	require.NoError(t, err)
	last, handled := map[string]string{}, 0
	for _, r := range e.log { // the ids of stored commands rise
		if !strings.HasPrefix(r.CommandID, "n") {
			continue
		}
		handled++
		require.Less(t, last[r.AggregateID], r.CommandID, "handled out of order")
		last[r.AggregateID] = r.CommandID
	}
	require.Equal(t, sent, handled, "every stored command is handled")
	t.Logf("%d stored commands, all handled, in order; %d requests, %d of them without an outcome while Postgres was away", sent, len(a.took), len(a.refused))
}

// usage returns what a worker uses of the machine.
func (w *world) usage(address string) string {
	response, err := http.Get("http://" + address + "/metrics")
	require.NoError(w, err)
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	require.NoError(w, err)
	goroutines := regexp.MustCompile(`(?m)^go_goroutine(?:s|_count\S*) (\d+)`).FindSubmatch(body)
	require.NotNil(w, goroutines, "metrics without the number of goroutines")
	_, pid := w.workers[0].current()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	require.NoError(w, err)
	return fmt.Sprintf("%s goroutines, %s resident", goroutines[1], strings.Join(strings.Fields(regexp.MustCompile(`VmRSS:(.*)`).FindStringSubmatch(string(status))[1]), " "))
}

func measureFullStream(t *testing.T) {
	w := newWorld(t, shape{brokers: 1, workers: 1, started: 1, partitions: 4, env: []string{"MAESTRO_COMMANDS_MAX_BYTES=200000"}})
	w.workers[0].signal(syscall.SIGSTOP)
	c := w.client(w.nats, time.Second)
	stored := 0
	var refusal error
	for refusal == nil {
		_, refusal = c.Send(t.Context(), client.Command{Aggregate: "counter", AggregateID: fmt.Sprint(stored % 20), Name: "increment"})
		if refusal == nil {
			stored++
		}
	}
	w.workers[0].signal(syscall.SIGCONT)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, poll(ctx, func() bool { // the stream takes commands again when the handled ones are trimmed
		_, err := c.Send(ctx, client.Command{Aggregate: "counter", AggregateID: "after", Name: "increment"})
		return err == nil
	}))
	require.NoError(t, w.drain(ctx))
	e, err := w.collect(ctx)
	require.NoError(t, err)
	require.Len(t, e.log, stored+1+2*w.partitions)
	t.Logf("%d commands fit; then the publisher was told: %v; all were handled, and there is room again", stored, refusal)
}
