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

// situation is a situation that needs a protection. Without the protection the checker must find a
// broken guarantee. With all protections it must find nothing.
type situation struct {
	without string // the build tag that switches the protection off
	brokers int
	breaks  string // "" for any guarantee
	rounds  int    // the violation must happen within this number of rounds
	bring   func(*stage)
	around  variation
}

var situations = []situation{
	{"maestro_unfenced", 1, "", 8, (*stage).wakeAFormerOwner, variation{}},
	{"maestro_unreceipted", 1, onceOnly, 1, (*stage).askTwice, variation{}},
	{"maestro_unfenced_stream", 1, streamIsLog, 3, (*stage).releaseAnOldPublication, variation{}},
	{"maestro_unfenced_stream", 3, streamIsLog, 3, (*stage).releaseAnOldUnit, variation{}},
	{"maestro_unread", 1, lastingAnswers, 1, (*stage).loseWhatTheStandbyLacks, variation{standby: synchronous}},
	{"maestro_unmarked", 1, lastingAnswers, 1, (*stage).endItsTransaction, variation{}},
	{"maestro_unreset", 1, lastingAnswers, 1, (*stage).weakenItsSession, variation{standby: synchronous}},
	{"maestro_uncompared", 1, streamIsLog, 1, (*stage).forgetWhatIsPublished, variation{standby: asynchronous}},
	{"maestro_hlcdeadline", 1, inTime, 1, (*stage).jumpAhead, variation{clocks: true}},
}

func TestTheCheckerFindsWhatIsSwitchedOff(t *testing.T) {
	t.Parallel()
	for _, situation := range situations {
		t.Run(fmt.Sprintf("%s/%d", situation.without, situation.brokers), func(t *testing.T) {
			t.Parallel()
			s := newStage(t, situation.brokers, situation.without, situation.around)
			var found []violation
			for len(found) == 0 && s.round < situation.rounds {
				s.round++
				situation.bring(s)
				found = s.check()
			}
			require.True(t, slices.ContainsFunc(found, func(v violation) bool {
				return situation.breaks == "" || v.guarantee == situation.breaks
			}), "found: %v", found)
			t.Logf("found in round %d: %v", s.round, found)
		})
	}
	for _, w := range []struct {
		brokers int
		around  variation
	}{{1, variation{}}, {3, variation{}}, {1, variation{clocks: true}}, {1, variation{standby: synchronous}}} {
		t.Run(fmt.Sprintf("nothing/%d%s", w.brokers, w.around.standby), func(t *testing.T) {
			t.Parallel()
			s := newStage(t, w.brokers, "", w.around)
			for _, situation := range situations {
				if situation.brokers == w.brokers && situation.around == w.around {
					s.round++
					situation.bring(s)
				}
			}
			require.Empty(t, s.check())
		})
	}
}

// stage is a world with two workers and one client. The client brings the world into a situation.
type stage struct {
	*loader
	round int
}

func newStage(t *testing.T, brokers int, tag string, around variation) *stage {
	t.Helper()
	w := newWorld(t, shape{brokers: brokers, workers: 2, started: 2, partitions: 4, tag: tag, variation: around, calm: 6 * time.Second})
	l := &load{world: w, history: history{now: w.now}, give: make(chan struct{})}
	return &stage{loader: &loader{load: l, Client: w.client(w.nats, 500*ms), random: rand.New(rand.NewPCG(1, 1))}}
}

func (s *stage) check() []violation {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), patience)
	defer cancel()
	require.NoError(s, s.heal(ctx))
	require.NoError(s, s.mend(ctx))
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

// ownerOtherThan waits until a worker other than the given one owns the round's counter.
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

// wakeAFormerOwner freezes an owner and changes its counter behind its back. When the owner wakes,
// commands wait for it.
func (s *stage) wakeAFormerOwner() {
	s.do(s.op("increment", `{"by":1000}`))
	former := s.ownerOtherThan(nil)
	former.signal(syscall.SIGSTOP)
	s.ownerOtherThan(former)
	s.do(s.op("decrement", `{"by":1000}`))
	var waiting sync.WaitGroup
	patient := &loader{load: s.load, Client: s.client(s.nats, patience), random: s.random}
	for range 60 { // commands for the frozen worker wait there
		o := s.op("increment_if_below", `{"limit":1000}`)
		waiting.Go(func() { patient.try(o, byRequest, patience) })
	}
	pause(s.Context(), 200*ms)
	former.signal(syscall.SIGCONT)
	waiting.Wait()
}

// releaseAnOldPublication keeps back an owner's publication until its successor has published the
// event and the stream has forgotten the message's id.
func (s *stage) releaseAnOldPublication() {
	s.do(s.op("increment", `{}`))
	former := s.ownerOtherThan(nil)
	former.hold(toServer)
	o := s.op("increment", `{"by":2}`)
	var waiting sync.WaitGroup
	waiting.Go(func() { s.do(o) })
	s.releaseWhenReplaced(former, &waiting)
}

// releaseAnOldUnit does the same with several events. The owner commits and publishes them together
// because they waited together.
func (s *stage) releaseAnOldUnit() {
	s.do(s.op("increment", `{}`))
	former := s.ownerOtherThan(nil)
	former.signal(syscall.SIGSTOP)
	var waiting sync.WaitGroup
	for range 20 {
		o := s.op("increment", `{"by":2}`)
		one := &loader{load: s.load, Client: s.client(s.nats, 500*ms), random: rand.New(rand.NewPCG(1, uint64(o.number)))}
		waiting.Go(func() { one.do(o) })
	}
	pause(s.Context(), 200*ms) // too short for the worker to count as dead
	former.hold(toServer)
	former.signal(syscall.SIGCONT)
	s.releaseWhenReplaced(former, &waiting)
}

func (s *stage) releaseWhenReplaced(former *worker, waiting *sync.WaitGroup) {
	s.ownerOtherThan(former)
	waiting.Wait()
	pause(s.Context(), duplicateWindow+2*time.Second)
	former.heal()
	pause(s.Context(), 300*ms)
}
