package faults

import (
	"context"
	"sync"
	"syscall"
	"time"
)

// storm carries out a schedule. If two faults would break the same thing at once, only one of them
// breaks it.
type storm struct {
	*world
	load *load

	workers  []sync.Mutex
	wires    []sync.Mutex
	brokers  sync.Mutex
	rules    sync.Mutex
	postgres sync.Mutex
	clocks   []sync.Mutex // one for each worker, and the last for Postgres
	under    sync.WaitGroup

	mu        sync.Mutex
	struck    map[kind]int
	takeovers []time.Duration // from the death of a worker until all its partitions have another owner
	outlasted int             // how many faults were longer than the event stream remembers message ids
}

func newStorm(w *world, l *load) *storm {
	return &storm{world: w, load: l, workers: make([]sync.Mutex, len(w.workers)), wires: make([]sync.Mutex, len(w.workers)), struck: map[kind]int{},
		clocks: make([]sync.Mutex, len(w.workers)+1)}
}

// rage carries out all faults and waits until the last has healed.
func (s *storm) rage(ctx context.Context, faults []fault) {
	for _, f := range faults {
		pause(ctx, f.after)
		if ctx.Err() != nil {
			break
		}
		s.under.Go(func() { s.strike(ctx, f) })
	}
	s.under.Wait()
}

// with runs a fault if the thing that it breaks is whole.
func (s *storm) with(lock *sync.Mutex, f fault, do func()) {
	if !lock.TryLock() {
		return
	}
	defer lock.Unlock()
	s.mu.Lock()
	s.struck[f.kind]++
	if (f.kind == freezeWorker || f.kind == holdNATS) && f.length > duplicateWindow {
		s.outlasted++
	}
	s.mu.Unlock()
	s.Logf("%6.2fs  %s", s.now().Seconds(), f)
	do()
}

func (s *storm) strike(ctx context.Context, f fault) {
	i := f.target % len(s.world.workers)
	w := s.world.workers[i]
	switch f.kind {
	case killWorker, terminateWorker, freezeWorker, blinkWorker, addWorker, removeWorker:
		s.with(&s.workers[i], f, func() { s.strikeWorker(ctx, f, w) })
	case cutNATS, holdNATS, slowNATS, cutPostgres, holdPostgres, slowPostgres:
		s.with(&s.wires[i], f, func() { s.strikeWire(ctx, f, w) })
	case restartPostgres, crashPostgres, endSessions, failOver, switchOver, slowFlush, loseStandby, killPooler, pausePooler:
		s.with(&s.postgres, f, func() { s.strikePostgres(ctx, f) })
	case moveWorkerClock:
		s.with(&s.clocks[i], f, func() { s.strikeClock(ctx, f, i) })
	case movePostgresClock:
		s.with(&s.clocks[len(s.world.workers)], f, func() { s.strikeClock(ctx, f, i) })
	case rotatePassword, lowerPayload, lowerConnections, denySubjects:
		s.with(&s.rules, f, func() { s.strikeRules(ctx, f) })
	default:
		s.with(&s.brokers, f, func() { s.strikeNATS(ctx, f) })
	}
}

func (s *storm) strikeWorker(ctx context.Context, f fault, w *worker) {
	switch f.kind {
	case killWorker:
		node, _ := w.current()
		w.end(syscall.SIGKILL, patience)
		s.under.Go(func() { s.timeTakeover(ctx, node) })
		pause(ctx, f.length)
		w.start()
	case terminateWorker:
		if !w.end(syscall.SIGTERM, 30*time.Second) {
			s.Logf("%6.2fs  %s did not end in order", s.now().Seconds(), w.name)
		}
		pause(ctx, f.length)
		w.start()
	case freezeWorker, blinkWorker:
		w.signal(syscall.SIGSTOP)
		pause(ctx, f.length)
		w.signal(syscall.SIGCONT)
	case addWorker:
		w.start()
	default:
		w.end(syscall.SIGTERM, 30*time.Second)
	}
}

// timeTakeover measures how long a dead worker's partitions are without a living owner.
func (s *storm) timeTakeover(ctx context.Context, node string) {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	owned := true
	err := poll(ctx, func() bool {
		owners, err := s.owners(ctx)
		owned = owners[node] > 0
		return err == nil && !owned
	})
	if err == nil && node != "" {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.takeovers = append(s.takeovers, time.Since(began))
	}
}

func (s *storm) strikeWire(ctx context.Context, f fault, w *worker) {
	wires := w.nats
	switch f.kind {
	case cutPostgres, holdPostgres, slowPostgres:
		wires = []*proxy{w.postgres}
	default:
	}
	for _, p := range wires {
		switch f.kind {
		case cutNATS, cutPostgres:
			p.cut()
		case holdNATS, holdPostgres:
			switch f.target >> 8 % 3 {
			case 0:
				p.hold(toServer)
			case 1:
				p.hold(toWorker)
			case 2:
				p.hold(toServer, toWorker)
			}
		default:
			p.slow(time.Duration(1+f.target>>8%20)*ms, toServer, toWorker)
		}
	}
	pause(ctx, f.length)
	for _, p := range wires {
		p.heal()
	}
}

func (s *storm) strikeNATS(ctx context.Context, f fault) {
	b := s.world.brokers[f.target%len(s.world.brokers)]
	switch f.kind {
	case killNATS, restartNATS:
		signal := syscall.SIGKILL
		if f.kind == restartNATS {
			signal = syscall.SIGTERM
		}
		b.stop(signal)
		s.must(f, b.save())
		pause(ctx, f.length)
		s.must(f, b.start())
	case freezeNATS:
		b.signal(syscall.SIGSTOP)
		pause(ctx, f.length)
		b.signal(syscall.SIGCONT)
	case stepDown:
		s.eachStream(ctx, func(ctx context.Context, stream string) {
			_, _ = s.nats.RequestWithContext(ctx, "$JS.API.STREAM.LEADER.STEPDOWN."+stream, nil)
		})
	case deleteStreams:
		s.losing(func() {
			s.eachStream(ctx, func(ctx context.Context, stream string) { _ = s.js.DeleteStream(ctx, stream) })
		})
	case wipeNATS:
		s.losing(func() {
			b.stop(syscall.SIGKILL)
			s.must(f, b.wipe())
			pause(ctx, f.length)
			s.must(f, b.start())
		})
	default:
		s.losing(func() {
			b.stop(syscall.SIGKILL)
			s.must(f, b.restore())
			pause(ctx, f.length)
			s.must(f, b.start())
		})
	}
}

// eachStream calls do for both streams, unless there is no answer because the servers have no
// leader just now.
func (s *storm) eachStream(ctx context.Context, do func(ctx context.Context, stream string)) {
	for _, stream := range []string{s.namespace.CommandStream(), s.namespace.EventStream()} {
		try, cancel := context.WithTimeout(ctx, 2*time.Second)
		do(try, stream)
		cancel()
	}
}

// losing runs a fault that loses stored commands.
func (s *storm) losing(do func()) {
	s.load.wipes.Add(1)
	do()
	s.load.wipes.Add(1)
}

func (s *storm) must(f fault, err error) {
	if err != nil {
		s.Errorf("%s: %v", f, err)
	}
}
