package lane_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/internal/lane"
	"github.com/maestro-es/maestro/store"
)

// returning returns an Add command with three events that asks for more than the status.
func returning(what lane.Return, command string) *lane.Command {
	return &lane.Command{Key: key("a"), ID: command, Name: "add", Body: body(Add{By: 2, Note: "n", Times: 3}), Return: what}
}

// sameAnswer tells that the outcome is the first one given again, with the same events or state.
func sameAnswer(t *testing.T, first, again lane.Result) {
	t.Helper()
	want, got := first.Answer(), again.Answer()
	require.True(t, got.Duplicate)
	want.Duplicate = true
	require.Len(t, got.Events, len(want.Events))
	for i := range want.Events {
		require.JSONEq(t, string(want.Events[i].Body), string(got.Events[i].Body))
		want.Events[i].Body, got.Events[i].Body = nil, nil
	}
	require.Equal(t, want, got)
}

func TestADuplicateGetsTheFirstOutcomeWithAllThatItWanted(t *testing.T) {
	for name, want := range map[string]lane.Return{"none": lane.ReturnNone, "events": lane.ReturnEvents, "state": lane.ReturnState} {
		t.Run(name, func(t *testing.T) {
			eachStore(t, func(t *testing.T, s store.Store) {
				r := newRig(t, s).run()
				r.batch(add("a", "0", 1), add("b", "0", 1))
				again := func(command string) *lane.Command { return returning(want, command) }

				results := r.batch(again("1"), add("b", "1", 1), again("1"), add("a", "2", 1), again("1"))
				require.Equal(t, []string{"committed", "committed", "committed again", "committed", "committed again"}, statuses(results))
				first := results[0]
				require.EqualValues(t, 4, first.Outcome.Sequence)
				sameAnswer(t, first, results[2])
				sameAnswer(t, first, results[4])

				sameAnswer(t, first, r.one(again("1"))) // in the same lane
				r.batch(add("a", "3", 1), add("a", "4", 1), add("a", "5", 1))
				restarted := newRig(t, s).run()
				sameAnswer(t, first, restarted.one(again("1")))
				sameAnswer(t, first, restarted.batch(add("a", "6", 1), again("1"))[1])
				require.Len(t, r.log(), 11)
			})
		})
	}
}

func TestEventsInAnOutcomeAreThoseOfTheLog(t *testing.T) {
	eachStore(t, func(t *testing.T, s store.Store) {
		r := newRig(t, s).run()
		results := r.batch(add("a", "0", 1), returning(lane.ReturnEvents, "1"), add("a", "2", 1))
		events := results[1].Events
		require.Len(t, events, 3)
		for i, logged := range r.log()[1:4] {
			e := events[i]
			require.JSONEq(t, string(logged.Body), string(e.Body))
			require.Equal(t, Added{By: 2, Note: "n"}, e.Value)
			e.Body, logged.Body, e.Value = nil, nil, nil
			require.Equal(t, logged, e)
		}
	})
}

func TestADuplicateWithoutEventsHasItsStateToo(t *testing.T) {
	eachStore(t, func(t *testing.T, s store.Store) {
		r := newRig(t, s).run()
		nothing := func(command string) *lane.Command {
			c := add("a", command, 0)
			c.Return = lane.ReturnState
			return c
		}
		results := r.batch(nothing("1"), nothing("1"), add("a", "2", 7), nothing("3"), add("a", "4", 7), nothing("3"), nothing("1"))
		require.Equal(t, []string{"committed", "committed again", "committed", "committed", "committed", "committed again",
			"committed again"}, statuses(results))
		sameAnswer(t, results[0], results[1])
		sameAnswer(t, results[3], results[5])
		sameAnswer(t, results[0], results[6])
		require.JSONEq(t, `{"Total":7,"Note":""}`, string(results[3].Answer().State))

		restarted := newRig(t, s).run()
		sameAnswer(t, results[3], restarted.one(nothing("3")))
		sameAnswer(t, results[0], restarted.one(nothing("1")))
	})
}

// An id means the same command only on the same aggregate.
func TestTheSameIDOnAnotherAggregateIsAnotherCommand(t *testing.T) {
	eachStore(t, func(t *testing.T, s store.Store) {
		r := newRig(t, s).run()
		require.Equal(t, []string{"committed", "committed", "committed again"},
			statuses(r.batch(add("a", "1", 1), add("b", "1", 1), add("a", "1", 1))))
	})
}

// Receipts are looked up only while there are duplicates, so that new commands need no read.
func TestReceiptsAreLookedUpOnlyWhileThereAreDuplicates(t *testing.T) {
	s := &receiptReads{Store: store.NewMemory(1)}
	r := newRigAt(t, s, acquired(t, s), nil).run()
	count := func(commands ...*lane.Command) int {
		s.n = 0
		r.batch(commands...)
		return s.n
	}
	require.Equal(t, 0, count(add("a", "1", 1), add("a", "2", 1)))
	require.Equal(t, 1, count(add("a", "2", 1), add("a", "3", 1)), "a duplicate")
	require.Equal(t, 1, count(add("a", "4", 1)), "there may be more")
	require.Equal(t, 0, count(add("a", "5", 1)), "there were none")
	require.Equal(t, 1, count(add("a", "6", 1), add("a", "6", 1)), "twice in one batch")
}

// receiptReads counts the reads of receipts, on the goroutine of the lane.
type receiptReads struct {
	store.Store
	n int
}

func (s *receiptReads) Receipts(ctx context.Context, partition int, keys []store.CommandKey) (map[store.CommandKey]store.Receipt, error) {
	s.n++
	return s.Store.Receipts(ctx, partition, keys)
}

// A history that cannot be read for a moment is read again, and the duplicate gets its state a
// little later.
func TestAStateIsWaitedForThroughAFaultOfTheMoment(t *testing.T) {
	eachStore(t, func(t *testing.T, s store.Store) {
		first := newRigAt(t, s, acquired(t, s), nil).run().one(returning(lane.ReturnState, "1"))
		restarted := newRigAt(t, &losingLoads{Store: s, left: 3}, acquired(t, s), nil).run()
		sameAnswer(t, first, restarted.one(returning(lane.ReturnState, "1")))
	})
}

// losingLoads is a store that loses the connection at the first loads of a history up to a
// sequence.
type losingLoads struct {
	store.Store
	left int
}

func (s *losingLoads) Load(ctx context.Context, partition int, queries []store.Query) ([]store.History, error) {
	if queries[0].UpTo > 0 && s.left > 0 {
		s.left--
		return nil, &store.Fault{Origin: store.Connection, Condition: store.Lost, Err: errNetwork}
	}
	return s.Store.Load(ctx, partition, queries)
}
