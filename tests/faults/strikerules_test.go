package faults

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"syscall"
	"time"
)

// Changes that an operator makes to guarded servers while they run. Each change is a reload of all
// servers, and is undone after the fault's length.
const (
	rotatePassword   kind = "nats password of the workers is another"
	lowerPayload     kind = "nats max_payload lowered"
	lowerConnections kind = "nats max_connections lowered"
	denySubjects     kind = "nats permissions of the workers taken away"
)

var rulesOptions = []option{
	{kind: rotatePassword, weight: 10, atLeast: 500 * ms, atMost: 5000 * ms, needs: guarded},
	{kind: lowerPayload, weight: 10, atLeast: 500 * ms, atMost: 8000 * ms, needs: guarded},
	{kind: lowerConnections, weight: 8, atLeast: 100 * ms, atMost: 4000 * ms, needs: guarded},
	{kind: denySubjects, weight: 14, atLeast: 100 * ms, atMost: 6000 * ms, needs: guarded},
}

func guarded(s shape) bool { return s.guarded }

// law holds the present rules of a world's servers.
type law struct {
	mu    sync.Mutex
	rules rules
	// smallest is the smallest max_payload so far, 0 if it was never lowered.
	smallest int
}

// rule changes what all servers allow.
func (w *world) rule(change func(*rules)) error {
	w.law.mu.Lock()
	defer w.law.mu.Unlock()
	change(&w.law.rules)
	if p := w.law.rules.payload; p > 0 && (w.law.smallest == 0 || p < w.law.smallest) {
		w.law.smallest = p
	}
	for _, b := range w.brokers {
		if err := b.obey(w.law.rules); err != nil {
			return err
		}
	}
	return nil
}

// subjects returns subjects that workers may lose, one of each kind that they use.
func (w *world) subjects() []string {
	ns := string(w.namespace)
	return []string{ns + ".do.>", ns + ".evt.>", ns + ".fence.*", ns + ".worker.>", "$JS.API.>", "$JS.API.CONSUMER.>", "_INBOX.>", ns + ".cmd.>"}
}

func (s *storm) strikeRules(ctx context.Context, f fault) {
	choice := f.target >> 8
	switch f.kind {
	case rotatePassword:
		s.rotatePassword(ctx, f, choice%2 == 0)
	case lowerPayload:
		s.must(f, s.rule(func(r *rules) { r.payload = 64 << 10 << (choice % 3) }))
		pause(ctx, f.length)
		s.must(f, s.rule(func(r *rules) { r.payload = 0 }))
	case lowerConnections:
		s.must(f, s.rule(func(r *rules) { r.connections = 1 + choice%5 }))
		pause(ctx, f.length)
		s.must(f, s.rule(func(r *rules) { r.connections = 0 }))
	default:
		all := s.subjects()
		s.must(f, s.rule(func(r *rules) { r.denied = all[choice%len(all)] }))
		pause(ctx, f.length)
		s.must(f, s.rule(func(r *rules) { r.denied = "" }))
	}
}

// rotatePassword makes the servers know another password than the workers, for a time. At the end
// either the former password is back, or the workers are started with the new one. An orchestrator
// does the latter when a Secret has changed.
func (s *storm) rotatePassword(ctx context.Context, f fault, back bool) {
	var former string
	s.must(f, s.rule(func(r *rules) { former, r.password = r.password, fmt.Sprintf("secret-%d", s.now()) }))
	pause(ctx, f.length)
	if back {
		s.must(f, s.rule(func(r *rules) { r.password = former }))
		return
	}
	s.law.mu.Lock()
	password := s.law.rules.password
	s.law.mu.Unlock()
	var restarts sync.WaitGroup
	for i, w := range s.world.workers {
		w.tell(password)
		restarts.Go(func() {
			s.workers[i].Lock() // no other fault breaks the worker or brings it back meanwhile
			defer s.workers[i].Unlock()
			if _, pid := w.current(); pid != 0 {
				w.end(syscall.SIGTERM, 10*time.Second)
				w.start()
			}
		})
	}
	restarts.Wait()
}

// tell makes the next processes of a worker connect with a password.
func (w *worker) tell(password string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	const name = "NATS_PASSWORD="
	w.env = append(slices.DeleteFunc(slices.Clone(w.env), func(pair string) bool { return len(pair) > len(name) && pair[:len(name)] == name }),
		name+password)
}
