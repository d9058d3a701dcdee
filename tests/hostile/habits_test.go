package hostile_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/client"
	"github.com/maestro-es/maestro/store"
	"github.com/maestro-es/maestro/tests/hostile"
)

func TestCommandsThatMisbehave(t *testing.T) {
	t.Parallel()
	hold(t, hostile.CommandTrials())
}

func TestReadModelsThatMisbehave(t *testing.T) {
	t.Parallel()
	for form, what := range map[string]string{"hand": "event by event", "batch": "a batch at a time"} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			hold(t, hostile.ModelTrials(form))
		})
	}
}

func TestQueuedSQLThatMisbehaves(t *testing.T) {
	t.Parallel()
	hold(t, hostile.QueueTrials())
}

// hold tries one habit after the other in a namespace. If a habit has damaged the namespace, it
// goes on in a new one.
func hold(t *testing.T, trials []hostile.Trial) {
	s := newSystem(t)
	for _, one := range trials {
		if !t.Run(one.Name, func(t *testing.T) { s.with(t).hold(one) }) {
			s = newSystem(t)
		}
	}
	s.check()
}

// hold checks the guarantees with one habit. The habit's command comes as a request and as a
// durable command, while good commands come beside it.
func (s *system) hold(h hostile.Trial) {
	s.Helper()
	for way, send := range map[string]send{"request": s.Request, "durable": s.SendAndWait} {
		id := s.inPartition(1, way)
		before := s.good(s.Request, command(id, "add", nil))
		beside := s.beside(id)
		bad := command(id, h.Command, h.Data)
		bad.Return = client.ReturnState
		o, err := s.ask(send, bad)
		beside()
		require.NoError(s, err)
		s.wanted(h.Habit, o)
		s.leftNothing(o, before)
		s.read(id)
		s.goOn()
	}
	s.unchanged()
}

// beside sends good commands to the same ledger and to others of its partition. The returned
// function waits until all of them are committed.
func (s *system) beside(id string) (wait func()) {
	var sent sync.WaitGroup
	for _, id := range []string{id, id, s.inPartition(1, "beside"), s.inPartition(1, "another")} {
		sent.Go(func() { s.good(s.Request, command(id, "add", nil)) })
	}
	return sent.Wait
}

// read reads a ledger's present state and an earlier one. If there is no state, the answer is an
// error that says so.
func (s *system) read(id string) {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), patience)
	defer cancel()
	for _, o := range []client.GetOptions{{}, {Cached: true}, {Sequence: 1}} {
		_, err := s.Get(ctx, hostile.Definition.Name(), id, o)
		require.NoError(s, ctx.Err(), "a read is not answered: %v", err)
	}
}

// wanted compares an outcome with the table's.
func (s *system) wanted(h hostile.Habit, o store.Outcome) {
	s.Helper()
	got := string(o.Status)
	if o.Error != nil {
		got += " " + o.Error.Code
	}
	for want := range strings.SplitSeq(h.Want, " or ") {
		if got == want || want == "rejected" && o.Status == store.Rejected {
			return
		}
	}
	require.Fail(s, "another outcome", "got %s, want %s: %v", got, h.Want, o.Error)
}

// leftNothing: a command without effect has no events and one receipt. A command with an effect has
// the events that its outcome names.
func (s *system) leftNothing(o, before store.Outcome) {
	s.Helper()
	events := query[int](s, `select count(*)::int from `+s.table("log")+` where aggregate_id = $1 and metadata->>'command_id' = $2`, o.ID, o.CommandID)
	receipts := query[int](s, `select coalesce(sum(events), -1)::int from `+s.table("receipts")+` where aggregate_id = $1 and command_id = $2`, o.ID, o.CommandID)
	require.Equal(s, events, receipts, "events and what the receipt tells")
	if o.Status != store.Committed {
		require.Zero(s, events, "a command without effect has events")
		return
	}
	require.GreaterOrEqual(s, o.Sequence, before.Sequence+int64(events))
}

// goOn: every partition takes durable commands and requests.
func (s *system) goOn() {
	s.Helper()
	var sent sync.WaitGroup
	for p := range s.partitions {
		sent.Go(func() { s.good(s.SendAndWait, command(s.inPartition(p, "good"), "add", nil)) })
		sent.Go(func() { s.good(s.Request, command(s.inPartition(p, "good"), "add", nil)) })
	}
	sent.Wait()
}

// unchanged: whichever connection a commit gets, its session looks like a fresh one.
func (s *system) unchanged() {
	s.Helper()
	var sent sync.WaitGroup
	for p := range s.partitions {
		for range 2 {
			sent.Go(func() { s.good(s.Request, command(s.inPartition(p, "observer"), "observe", nil)) })
		}
	}
	sent.Wait()
	looks := query[[]string](s, `select array_agg(distinct looks) from `+s.table("ledger_sessions"))
	require.Equal(s, []string{s.looks}, looks, "a session keeps what a habit left in it")
}
