package tests

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/client"
	"github.com/maestro-es/maestro/store"
)

// The whole path, used like a stock client of any language uses it.
func TestCommandsStatesAndHistories(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	w := s.start()
	ask := func(sequence string) answer { return s.ask("get.counter.42", "", "Maestro-Sequence", sequence) }

	require.EqualValues(t, 1, s.committed(s.send("counter.42.increment", `{"by":2}`)))
	require.EqualValues(t, 2, s.committed(s.ask("do.counter.42.increment", ``)))
	a := s.ask("do.counter.42.add_tag", `{"tag":"red"}`, "Maestro-Return", "state")
	require.JSONEq(t, `{"value":3,"tags":["red"]}`, string(a.State))
	a = s.send("counter.42.increment", `{"by":4}`, "Maestro-Return", "events")
	require.Len(t, a.Events, 1)
	require.Equal(t, "incremented", a.Events[0].Type)
	require.EqualValues(t, 4, a.Events[0].Sequence)
	require.JSONEq(t, `{"by":4}`, string(a.Events[0].Body))
	require.Nil(t, a.State)

	for range 2 {
		require.JSONEq(t, `{"value":7,"tags":["red"]}`, string(s.ask("get.counter.42", "").state))
		require.JSONEq(t, `{"value":7,"tags":["red"]}`, string(s.ask("get.counter.42", "", "Maestro-Consistency", "cached").state))
		for sequence, state := range map[string]string{"0": `{"value":0}`, "1": `{"value":2}`, "2": `{"value":3}`,
			"3": `{"value":3,"tags":["red"]}`, "4": `{"value":7,"tags":["red"]}`} {
			require.JSONEq(t, state, string(ask(sequence).state), "at %s", sequence)
		}
		require.Equal(t, "sequence_mismatch", ask("5").Error.Code)
		h := s.ask("history.counter.42", "", "Maestro-After", "2")
		require.Equal(t, []string{"tag_added", "incremented"}, []string{h.Events[0].Type, h.Events[1].Type})
		s.stop(w) // and once more from the stored data
		w = s.start()
	}
	s.check()
}

// A command takes effect once, whatever gives it its id, whichever way it comes, before and after
// restarts.
func TestACommandTakesEffectOnce(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	w := s.start()
	first := map[string]answer{
		"a": s.send("counter.1.increment", `{"by":2}`, "Maestro-Command-Id", "a"),
		"b": s.send("counter.1.increment", `{"by":3}`, "Nats-Msg-Id", "b"),
		"c": s.ask("do.counter.1.increment", `{"by":4}`, "Maestro-Command-Id", "c"),
		"d": s.send("counter.1.increment", `{"by":-1}`, "Maestro-Command-Id", "d"),
		"e": s.send("counter.1.explode", ``, "Maestro-Command-Id", "e"),
	}
	s.committed(first["a"])
	s.committed(first["b"])
	s.committed(first["c"])
	s.refused(first["d"], store.Rejected, "invalid_amount", "409")
	s.refused(first["e"], store.Failed, "unknown_command", "404")
	require.True(t, s.store("counter.1.increment", `{"by":3}`, "Nats-Msg-Id", "b").Duplicate, "the stream itself drops it")

	again := func(way func(string, string, ...string) answer, subject string) {
		for id, one := range first {
			a := way(subject, `{"by":100}`, "Maestro-Command-Id", id)
			require.True(t, a.Duplicate, a.body)
			want := one.Outcome
			want.Duplicate = true
			require.Equal(t, want, a.Outcome)
		}
	}
	restarts := []func(){func() {}, func() { s.stop(w); w = s.start() }, func() { w.kill(); w = s.start() }}
	for _, restart := range restarts {
		restart()
		again(s.send, "counter.1.increment")
		again(s.ask, "do.counter.1.increment")
		a := s.ask("do.counter.1.increment", ``, "Maestro-Command-Id", "b", "Maestro-Return", "state")
		require.JSONEq(t, `{"value":5}`, string(a.State), "the state right after it")
		a = s.send("counter.1.increment", ``, "Maestro-Command-Id", "a", "Maestro-Return", "events")
		require.Len(t, a.Events, 1)
		require.JSONEq(t, `{"by":2}`, string(a.Events[0].Body))
	}
	require.EqualValues(t, 1, s.committed(s.ask("do.counter.2.increment", ``, "Maestro-Command-Id", "a")), "another aggregate's")
	require.JSONEq(t, `{"value":9}`, string(s.ask("get.counter.1", "").state))
	require.EqualValues(t, 6, s.handled())
	s.check()
}

func TestExpectedSequencesAndDeadlines(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.start()
	for _, way := range []func(string, string, ...string) answer{s.send, func(subject, body string, headers ...string) answer {
		return s.ask("do."+subject, body, headers...)
	}} {
		at := s.ask("get.counter.1", "").Sequence
		sequence := func(n int64) string { return string(rune('0' + n)) }
		require.Equal(t, at+1, s.committed(way("counter.1.increment", ``, "Maestro-Expect-Sequence", sequence(at))))
		a := way("counter.1.increment", ``, "Maestro-Expect-Sequence", sequence(at))
		s.refused(a, store.Rejected, "sequence_mismatch", "409")
		require.Equal(t, at+1, a.Sequence)
		require.Equal(t, at+2, s.committed(way("counter.1.increment", ``, "Maestro-Deadline", future())))
		s.refused(way("counter.1.increment", ``, "Maestro-Deadline", "2020-01-01T00:00:00Z"), store.Failed, "deadline_exceeded", "408")
	}
	require.EqualValues(t, 4, s.events())
	s.check()
}

// The cause that a command names stays with its events, in the log and in the stream.
func TestCausesReachTheEvents(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.start()
	const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	headers := []string{"Maestro-Command-Id", "it", "Maestro-Correlation-Id", "all of it", "Maestro-Causation-Id", "before",
		"traceparent", trace, "tracestate", "vendor=1"}
	s.committed(s.send("counter.1.increment", ``, headers...))
	s.committed(s.ask("do.counter.2.increment", ``, headers...))
	s.committed(s.ask("do.counter.3.increment", ``, "Maestro-Command-Id", "it"))
	full := store.Metadata{CommandID: "it", CorrelationID: "all of it", CausationID: "before", Traceparent: trace, Tracestate: "vendor=1"}
	want := map[string]store.Metadata{"1": full, "2": full, "3": {CommandID: "it"}}
	for _, e := range s.readLog() {
		require.Equal(t, want[e.AggregateID], e.Metadata)
	}
	s.check() // compares the stream's headers with the metadata
}

// The Go client goes the same way.
func TestTheClientsWays(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.start()
	command := client.Command{ID: "1", Aggregate: "counter", AggregateID: "7", Name: "increment", Data: map[string]int{"by": 5}, Deadline: time.Now().Add(time.Hour)}
	ack, err := s.Send(s.Context(), command)
	require.NoError(t, err)
	require.False(t, ack.Duplicate)
	o, err := s.SendAndWait(s.Context(), command)
	require.NoError(t, err)
	require.True(t, o.Duplicate)
	command.ID, command.Return = "2", client.ReturnState
	o, err = s.Request(s.Context(), command)
	require.NoError(t, err)
	require.JSONEq(t, `{"value":10}`, string(o.State))
	state, err := s.Get(s.Context(), "counter", "7", client.GetOptions{Sequence: 1})
	require.NoError(t, err)
	require.JSONEq(t, `{"value":5}`, string(state.State))
	events := 0
	for e, err := range s.History(s.Context(), "counter", "7", 0) {
		require.NoError(t, err)
		events++
		require.EqualValues(t, events, e.Sequence)
	}
	require.Equal(t, 2, events)
	s.check()
}
