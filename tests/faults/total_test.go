package faults

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// total is what was run, and what came of it.
type total struct {
	struck     map[kind]int
	outcomes   map[string]int
	calls      int
	attempts   int
	events     int
	crashes    int
	takeovers  []time.Duration
	violations int
}

func count(w *world, l *load, s *storm, e evidence, found []violation) *total {
	t := &total{struck: s.struck, outcomes: map[string]int{}, takeovers: s.takeovers, events: len(e.log), violations: len(found)}
	for _, o := range l.all() {
		t.calls++
		t.attempts += o.attempts
		switch {
		case o.returned == 0:
			t.outcomes["given up by the client"]++
		case o.how == byRead:
			t.outcomes["read"]++
		default:
			t.outcomes[string(o.outcomes[0].Status)]++
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
	for k, n := range o.struck {
		t.struck[k] += n
	}
	for k, n := range o.outcomes {
		t.outcomes[k] += n
	}
	t.calls += o.calls
	t.attempts += o.attempts
	t.events += o.events
	t.crashes += o.crashes
	t.takeovers = append(t.takeovers, o.takeovers...)
	t.violations += o.violations
}

// String is a summary for people.
func (t *total) String() string {
	var b strings.Builder
	n := 0
	for _, o := range options {
		n += t.struck[o.kind]
	}
	fmt.Fprintf(&b, "%d faults\n", n)
	for _, o := range options {
		if n := t.struck[o.kind]; n > 0 {
			fmt.Fprintf(&b, "  %4d  %s\n", n, o.kind)
		}
	}
	fmt.Fprintf(&b, "%d calls, sent %d times: %v\n%d events\n", t.calls, t.attempts, t.outcomes, t.events)
	fmt.Fprintf(&b, "%d workers could not start while a server was away, and were started again\n", t.crashes)
	if all := slices.Sorted(slices.Values(t.takeovers)); len(all) > 0 {
		fmt.Fprintf(&b, "%d takeovers after kill -9, other faults at the same time: median %s, longest %s\n", len(all),
			all[len(all)/2].Round(time.Millisecond), all[len(all)-1].Round(time.Millisecond))
	}
	fmt.Fprintf(&b, "%d violations", t.violations)
	return b.String()
}
