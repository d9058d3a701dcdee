package faults

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/client"
	"github.com/maestro-es/maestro/internal/wire"
)

// TestTheCheckerFindsWhatIsSwitchedOff runs workers that lack one of the protections, in a situation that needs it: the checker
// must find the guarantee broken. With all protections the same situation does no harm.
func TestTheCheckerFindsWhatIsSwitchedOff(t *testing.T) {
	t.Parallel()
	for tag, c := range map[string]struct {
		breaks string // one of several for ""
		rounds int
		stage  func(*stage)
	}{
		"maestro_unfenced":        {"", 8, (*stage).wakeAFormerOwner},
		"maestro_unreceipted":     {onceOnly, 1, (*stage).askTwice},
		"maestro_unfenced_stream": {streamIsLog, 1, (*stage).releaseAnOldPublication},
	} {
		for _, off := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s=%t", tag, off), func(t *testing.T) {
				t.Parallel()
				s := newStage(t, map[bool]string{true: tag}[off])
				var found []violation
				for range map[bool]int{true: c.rounds, false: 1}[off] {
					s.round++
					c.stage(s)
					found = s.check()
					if len(found) > 0 {
						break
					}
				}
				if !off {
					require.Empty(t, found)
					return
				}
				require.True(t, slices.ContainsFunc(found, func(v violation) bool { return c.breaks == "" || v.guarantee == c.breaks }), "found: %v", found)
				t.Logf("found in round %d: %v", s.round, found)
			})
		}
	}
}

// stage is a world with two workers, and one client that brings it into a situation.
type stage struct {
	*loader
	round int
}

func newStage(t *testing.T, tag string) *stage {
	w := newWorld(t, shape{brokers: 1, workers: 2, started: 2, partitions: 4, tag: tag, calm: 6 * time.Second})
	l := &load{world: w, history: history{now: w.now}, give: make(chan struct{})}
	return &stage{loader: &loader{load: l, Client: w.client(w.nats, 500*ms), random: rand.New(rand.NewPCG(1, 1))}}
}

func (s *stage) check() []violation {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), patience)
	defer cancel()
	require.NoError(s, s.heal(ctx))
	e, err := s.rest(ctx, nil)
	require.NoError(s, err)
	return check(e, s.all(), s.partitions)
}

// op makes an operation on the counter of the round.
func (s *stage) op(name, data string) *operation {
	s.sent++
	return s.begin(operation{how: byRequest, command: client.Command{ID: fmt.Sprint("s", s.sent), Aggregate: "counter",
		AggregateID: fmt.Sprint("counter-", s.round), Name: name, Data: json.RawMessage(data), Return: client.ReturnState}})
}

// ownerOtherThan waits until somebody else than the given worker owns the round's counter.
func (s *stage) ownerOtherThan(not *worker) (found *worker) {
	s.Helper()
	partition := wire.Partition("counter", fmt.Sprint("counter-", s.round), s.partitions)
	ctx, cancel := context.WithTimeout(s.Context(), patience)
	defer cancel()
	require.NoError(s, poll(ctx, func() bool {
		found = s.owner(ctx, partition)
		return found != nil && found != not
	}))
	return found
}

// askTwice sends a command again after it was answered.
func (s *stage) askTwice() {
	o := s.op("increment", `{}`)
	s.do(o)
	s.do(o)
}

// wakeAFormerOwner freezes an owner, changes its counter behind its back, and has it wake to commands that wait for it.
func (s *stage) wakeAFormerOwner() {
	s.do(s.op("increment", `{"by":1000}`))
	former := s.ownerOtherThan(nil)
	former.signal(syscall.SIGSTOP)
	s.ownerOtherThan(former)
	s.do(s.op("decrement", `{"by":1000}`))
	var waiting sync.WaitGroup
	patient := &loader{load: s.load, Client: s.client(s.nats, patience), random: s.random}
	for range 60 { // what goes to the frozen worker waits there
		o := s.op("increment_if_below", `{"limit":1000}`)
		waiting.Go(func() { patient.try(o, byRequest, patience) })
	}
	pause(s.Context(), 200*ms)
	former.signal(syscall.SIGCONT)
	waiting.Wait()
}

// releaseAnOldPublication keeps back what an owner publishes until its successor has published it, and the stream has
// forgotten the message's id.
func (s *stage) releaseAnOldPublication() {
	s.do(s.op("increment", `{}`))
	former := s.ownerOtherThan(nil)
	for _, p := range former.nats {
		p.hold(toServer)
	}
	o := s.op("increment", `{"by":2}`)
	var waiting sync.WaitGroup
	waiting.Go(func() { s.do(o) })
	s.ownerOtherThan(former)
	waiting.Wait()
	pause(s.Context(), 12*time.Second) // the stream's window for duplicates is 10 s
	for _, p := range former.nats {
		p.heal()
	}
	pause(s.Context(), 300*ms)
}
