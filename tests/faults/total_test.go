package faults

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// total sums up the runs and their results.
type total struct {
	seeds      int
	took       time.Duration
	struck     map[kind]int
	outlasted  map[int]int    // freezes and holds longer than the window for duplicates, by the stream's replicas
	commands   map[string]int // by the outcome that the client was told first
	reads      int
	calls      int
	attempts   int
	events     int
	crashes    int
	takeovers  []time.Duration
	violations int
}

func count(w *world, l *load, s *storm, e evidence, found []violation) *total {
	t := &total{seeds: 1, took: w.now(), struck: s.struck, commands: map[string]int{}, takeovers: s.takeovers, events: len(e.log),
		violations: len(found)}
	t.outlasted = map[int]int{len(w.brokers): s.outlasted}
	for _, o := range l.all() {
		t.calls++
		t.attempts += o.attempts
		switch {
		case o.how == byRead:
			t.reads++
		case o.returned == 0:
			t.commands["given up by the client"]++
		default:
			t.commands[string(o.outcomes[0].Status)]++
		}
	}
	for _, v := range w.workers {
		for _, said := range v.crashes {
			w.Logf("ended by itself: %s", said)
		}
		t.crashes += len(v.crashes)
	}
	return t
}

func (t *total) add(o *total) {
	t.seeds += o.seeds
	t.took += o.took
	for k, n := range o.struck {
		t.struck[k] += n
	}
	for k, n := range o.outlasted {
		t.outlasted[k] += n
	}
	for k, n := range o.commands {
		t.commands[k] += n
	}
	t.reads += o.reads
	t.calls += o.calls
	t.attempts += o.attempts
	t.events += o.events
	t.crashes += o.crashes
	t.takeovers = append(t.takeovers, o.takeovers...)
	t.violations += o.violations
}

func (t *total) faults() (n int) {
	for _, one := range t.struck {
		n += one
	}
	return n
}

// String is a summary for people.
func (t *total) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d seeds in %s, %d faults\n", t.seeds, t.took.Round(time.Second), t.faults())
	for _, o := range options {
		if n := t.struck[o.kind]; n > 0 {
			fmt.Fprintf(&b, "  %6d  %s\n", n, o.kind)
		}
	}
	fmt.Fprintf(&b, "%d freezes and holds were longer than the event stream remembers message ids, %d of them with a replicated stream\n",
		t.outlasted[1]+t.outlasted[3], t.outlasted[3])
	fmt.Fprintf(&b, "%d commands and reads, sent %d times\n", t.calls, t.attempts)
	for _, outcome := range slices.Sorted(maps.Keys(t.commands)) {
		fmt.Fprintf(&b, "  %6d  %s\n", t.commands[outcome], outcome)
	}
	fmt.Fprintf(&b, "  %6d  reads\n%d events\n", t.reads, t.events)
	fmt.Fprintf(&b, "%d workers could not start while a server was away, and were started again\n", t.crashes)
	if all := slices.Sorted(slices.Values(t.takeovers)); len(all) > 0 {
		fmt.Fprintf(&b, "%d takeovers after kill -9, other faults at the same time: median %s, longest %s\n", len(all),
			all[len(all)/2].Round(time.Millisecond), all[len(all)-1].Round(time.Millisecond))
	}
	fmt.Fprintf(&b, "%d violations", t.violations)
	return b.String()
}
