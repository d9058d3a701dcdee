package tests

import (
	"fmt"
	"os"
	"reflect"
	"slices"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/client"
	"github.com/maestro-es/maestro/store"
)

// A worker may end at any moment, in order or not. The next worker goes on from the same point.
func TestWorkersEndAtAnyMoment(t *testing.T) {
	t.Parallel()
	for how, end := range map[string]func(s *system, w *process){
		"killed":      func(_ *system, w *process) { w.kill() },
		"terminated":  func(s *system, w *process) { s.ends(w, syscall.SIGTERM) },
		"interrupted": func(s *system, w *process) { s.ends(w, os.Interrupt) },
	} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			s, r := newSystem(t), random(t)
			w := s.start()
			i := s.importing(s.workload(r, many(4000), 200))
			for _, moment := range i.moments(4, r.IntN) {
				i.reaches(moment)
				end(s, w)
				w = s.start()
			}
			i.finish()
			s.stop(w)
			s.check()
		})
	}
}

// A worker that stood still, like a virtual machine that is moved, has lost its partitions to
// another. It commits nothing of the work that it had in hand, and then takes its share of
// partitions again.
func TestAFrozenWorkerIsReplaced(t *testing.T) {
	t.Parallel()
	s, r := newSystem(t), random(t)
	frozen := s.start("--node", "frozen")
	i := s.importing(s.workload(r, many(4000), 200))
	i.reaches(i.moments(1, r.IntN)[0])
	frozen.signal(syscall.SIGSTOP)
	s.start("--node", "next")
	i.finish()
	require.Equal(t, map[string]string{"next": "8"}, s.owners())

	before := s.readLog()
	frozen.signal(syscall.SIGCONT)
	s.until("the frozen worker's share", func() bool { return reflect.DeepEqual(s.owners(), map[string]string{"frozen": "4", "next": "4"}) })
	require.Equal(t, before, s.readLog())
	s.handles(8)
	s.check()
}

// Workers come and go in every way while commands are handled.
func TestWorkersComeAndGo(t *testing.T) {
	t.Parallel()
	s, r := newSystem(t), random(t)
	workers, frozen := []*process{s.start(), s.start()}, []*process{}
	i := s.importing(s.workload(r, many(6000), 200))
	for _, moment := range i.moments(8, r.IntN) {
		i.reaches(moment)
		k := r.IntN(len(workers))
		w := workers[k]
		switch choice := r.IntN(4); {
		case choice == 0 || len(workers) == 1:
			t.Log("one comes")
			workers = append(workers, s.launch())
			continue
		case choice == 1:
			t.Log("one is killed")
			w.kill()
		case choice == 2:
			t.Log("one leaves")
			w.signal(syscall.SIGTERM)
		default:
			t.Log("one freezes")
			w.signal(syscall.SIGSTOP)
			frozen = append(frozen, w)
		}
		workers = slices.Delete(workers, k, k+1)
	}
	i.ends()
	for _, w := range frozen {
		w.signal(syscall.SIGCONT)
	}
	i.finish()
	s.handles(8)
	for _, w := range append(workers, frozen...) {
		s.stop(w)
	}
	s.check()
}

// owners is how many partitions each worker owns.
func (s *system) owners() map[string]string {
	s.Helper()
	return s.pairs("select owner, count(*)::text from " + s.table("partitions") + " group by 1")
}

// handles sends some commands and checks that they are handled, whichever worker gets them.
func (s *system) handles(n int) {
	s.Helper()
	for k := range n {
		o, err := s.Request(s.Context(), client.Command{Aggregate: "counter", AggregateID: fmt.Sprintf("handles-%d", k), Name: "increment"})
		require.NoError(s, err)
		require.Equal(s, store.Committed, o.Status)
	}
}
