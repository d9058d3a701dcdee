package faults

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/client"
	"github.com/maestro-es/maestro/internal/wire"
)

// TestFaults keeps all guarantees through random faults. Without flags it runs a short fixed set of
// schedules.
func TestFaults(t *testing.T) {
	first, n, duration := *seedFlag, *seedsFlag, *durationFlag
	var seeds []uint64
	for seed := first; seed < first+uint64(n); seed++ {
		seeds = append(seeds, seed)
	}
	if first == 0 { // one nats-server, three, and clocks
		seeds, duration = []uint64{1, 2, 13}, 15*time.Second
		first, n = seeds[0], len(seeds)
	}
	sum := &total{struck: map[kind]int{}, outlasted: map[int]int{}, commands: map[string]int{}}
	for _, seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { runSeed(t, seed, duration, *faultsFlag, sum) })
		t.Logf("so far %d of %d seeds, %d faults, %d violations", sum.seeds, n, sum.faults(), sum.violations)
	}
	t.Logf("in all, of %d seeds from %d on:\n%s", n, first, sum)
}

func runSeed(t *testing.T, seed uint64, duration time.Duration, most int, sum *total) {
	s := shapeOf(seed)
	t.Logf("replay with: go test ./tests/faults -run TestFaults -seed %d -duration %s -faults %d", seed, duration, most)
	t.Logf("a world of %s", s)
	w := newWorld(t, s)
	l := startLoad(w, seed)
	watching, err := startWatchers(w)
	require.NoError(t, err)
	storm := newStorm(w, l)
	storm.rage(t.Context(), schedule(seed, s, duration, most))

	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	require.NoError(t, w.heal(ctx))
	l.finish()
	require.NoError(t, w.mend(ctx))
	e, err := w.rest(ctx, watching)
	require.NoError(t, err)
	found := append(check(e, l.all(), w.partitions), watching.found...)
	one := count(w, l, storm, e, found)
	t.Logf("%s", one)
	sum.add(one)
	for _, v := range found {
		t.Errorf("guarantee broken: %s\n\t%s", v.guarantee, v.what)
	}
}

// rest waits until all work has come to an end, and collects the evidence.
func (w *world) rest(ctx context.Context, watching *watchers) (evidence, error) {
	draining, cancel := context.WithTimeout(ctx, w.calm)
	defer cancel()
	stuck := w.drain(draining)
	settle, cancel := context.WithCancel(ctx)
	defer cancel()
	patient := time.AfterFunc(w.calm, cancel)
	var furthest uint64
	_ = poll(settle, func() bool { // if the condition never holds, the checker reports what is wrong
		stream, err := w.js.Stream(settle, w.namespace.EventStream())
		if err != nil {
			return false
		}
		info, err := stream.Info(settle)
		var events, seen uint64
		count := "select count(*), 0 from " + w.table("events")
		if watching != nil {
			count = "select count(*), (select count(*) from seen) from " + w.table("events")
		}
		if w.bounded > 0 {
			return err == nil && w.published(settle)
		}
		if err != nil || w.pool.QueryRow(settle, count).Scan(&events, &seen) != nil {
			return false
		}
		if seen > furthest { // a subscriber of many events needs time on a busy machine
			furthest = seen
			patient.Reset(w.calm)
		}
		return info.State.Msgs == events+w.fences(settle) && (watching == nil || seen == events)
	})
	if watching != nil {
		watching.finish()
	}
	e, err := w.collect(ctx)
	e.stuck, e.bounded, e.setBack, e.smallest = stuck, w.bounded > 0, w.database.setBack, w.law.smallest
	if lost := w.database.lost; len(lost) > 0 {
		e.forgotten = lost[len(lost)-1].Sub(w.began)
	}
	if err == nil && watching != nil {
		rows, _ := w.pool.Query(ctx, "select partition, position from seen")
		e.seen, err = pgx.CollectRows(rows, pgx.RowToStructByPos[place])
	}
	return e, err
}

// published tells whether the last event of every partition is also the last one in the stream.
func (w *world) published(ctx context.Context) bool {
	rows, _ := w.pool.Query(ctx, "select partition, position from "+w.table("partitions"))
	ends, err := pgx.CollectRows(rows, pgx.RowToStructByPos[place])
	if err != nil {
		return false
	}
	stream, err := w.js.Stream(ctx, w.namespace.EventStream())
	if err != nil {
		return false
	}
	for _, end := range ends {
		if end.Position == 0 {
			continue
		}
		msg, err := stream.GetLastMsgForSubject(ctx, w.namespace.EventsOf(end.Partition))
		if err != nil || msg.Header.Get(wire.HeaderEventPosition) != strconv.FormatInt(end.Position, 10) {
			return false
		}
	}
	return true
}

// fences is the number of messages in the event stream that are not events.
func (w *world) fences(ctx context.Context) (n uint64) {
	stream, err := w.js.Stream(ctx, w.namespace.EventStream())
	if err != nil {
		return 0
	}
	info, err := stream.Info(ctx, withSubjects(w.namespace.Fences()))
	if err != nil {
		return 0
	}
	for _, count := range info.State.Subjects {
		n += count
	}
	return n
}

// drain sends a durable command and a request through every partition. When they are answered,
// everything before them has been handled.
func (w *world) drain(ctx context.Context) error {
	c := w.client(w.nats, resend)
	for p := range w.partitions {
		id := idIn(p, w.partitions)
		cmd := client.Command{Aggregate: "counter", AggregateID: id, Name: "increment"}
		if _, err := c.SendAndWait(ctx, cmd); err != nil {
			return fmt.Errorf("partition %d takes no durable commands: %w", p, err)
		}
		if _, err := c.Request(ctx, cmd); err != nil {
			return fmt.Errorf("partition %d takes no requests: %w", p, err)
		}
	}
	return nil
}

// idIn is the id of a counter in a partition.
func idIn(partition, partitions int) string {
	for n := 0; ; n++ {
		if id := fmt.Sprintf("last-%d", n); wire.Partition("counter", id, partitions) == partition {
			return id
		}
	}
}
