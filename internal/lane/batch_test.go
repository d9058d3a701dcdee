package lane_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/internal/lane"
	"github.com/maestro-es/maestro/protocol"
	"github.com/maestro-es/maestro/store"
)

func TestCommandsAreHandledInTheirOrderInFullBatches(t *testing.T) {
	eachStore(t, func(t *testing.T, s store.Store) {
		counted := &faulty{Store: s}
		r := newRigAt(t, counted, acquired(t, s), nil, func(c *lane.Config) { c.MaxBatch = 8 })
		var commands []*lane.Command
		for i := range 20 {
			commands = append(commands, add(fmt.Sprint(i%3), fmt.Sprint("c", i), i+1))
		}
		results := r.put(commands...)
		r.run()
		for i := range commands {
			o := (<-results).Outcome
			require.Equal(t, store.Outcome{Status: store.Committed, Aggregate: "tally", ID: fmt.Sprint(i % 3),
				CommandID: fmt.Sprint("c", i), Sequence: int64(i/3) + 1, Position: int64(i) + 1}, o)
		}
		require.Equal(t, []int{8, 8, 4}, counted.batches())
		for i, e := range r.store.(*faulty).log(t) {
			require.Equal(t, fmt.Sprint("c", i), e.Metadata.CommandID)
			require.EqualValues(t, i+1, e.Position)
		}
	})
}

func TestACommandSeesWhatCameBeforeItInItsBatch(t *testing.T) {
	eachStore(t, func(t *testing.T, s store.Store) {
		r := newRig(t, s).run()
		results := r.batch(add("a", "1", 1), expecting(0, add("a", "2", 10)), expecting(1, add("a", "3", 100)),
			do("a", "4", "reject"), add("b", "1", 1000), expecting(2, add("a", "5", 0)))
		require.Equal(t, []string{"committed", "rejected sequence_mismatch", "committed", "rejected forbidden", "committed",
			"committed"}, statuses(results))
		require.Equal(t, []int64{1, 1, 2, 2, 1, 2}, sequencesOf(results))
		require.Equal(t, []int64{1, 1, 2, 2, 3, 3}, positionsOf(results))
		var mismatch *aggregate.SequenceMismatchError
		require.ErrorAs(t, results[1].Err, &mismatch)
		require.Equal(t, aggregate.SequenceMismatchError{Aggregate: "tally", ID: "a", Expected: 0, Actual: 1}, *mismatch)
		root, err := r.look("a", true)
		require.NoError(t, err)
		require.Equal(t, Tally{Total: 101}, root.State)
	})
}

func TestABatchThatRefusesEverythingLeavesReceiptsOnly(t *testing.T) {
	eachStore(t, func(t *testing.T, s store.Store) {
		r := newRig(t, s).run()
		unknown := &lane.Command{Key: store.Key{Type: "ghost", ID: "1"}, ID: "1", Name: "add"}
		noCommand := &lane.Command{Key: key("a"), ID: "2", Name: "subtract"}
		badBody := &lane.Command{Key: key("a"), ID: "3", Name: "add", Body: []byte(`{"By":"1"}`)}
		late := add("a", "4", 1)
		late.Deadline = time.Unix(1, 0)
		refused := add("a", "5", 1)
		refused.Refusal = lane.Fail(protocol.CodeMalformed, "a header is wrong")
		commands := []*lane.Command{unknown, noCommand, badBody, late, refused, do("a", "6", "fail"), do("a", "7", "panic"),
			do("a", "8", "explode"), do("a", "9", "stranger"),
			{Key: key("a"), ID: "10", Name: "add", Body: body(Add{By: 1, Note: string(make([]byte, 20_000))})}}
		want := []string{"failed unknown_aggregate", "failed unknown_command", "failed invalid_payload",
			"failed deadline_exceeded", "failed malformed", "failed handler_failed", "failed panic", "failed panic",
			"failed unregistered_event", "failed too_large"}
		first := r.batch(commands...)
		require.Equal(t, want, statuses(first))
		require.Contains(t, first[0].Outcome.Error.Message, "there are: tally")
		require.Empty(t, r.log())

		// Sent again, each command gets its first answer. Only the late command may be sent again
		// with more time.
		late.Deadline = time.Time{}
		for i, again := range r.batch(commands...) {
			if i == 3 {
				require.Equal(t, "committed", status(again.Outcome))
				continue
			}
			want := first[i].Outcome
			want.Duplicate = true
			require.Equal(t, want, again.Outcome)
			require.Equal(t, again.Outcome.Error, again.Err)
		}
		require.Len(t, r.log(), 1)
	})
}

func TestADeadlineToComeIsKept(t *testing.T) {
	eachStore(t, func(t *testing.T, s store.Store) {
		c := add("a", "1", 1)
		c.Deadline = time.Now().Add(time.Hour)
		require.Equal(t, store.Committed, newRig(t, s).run().one(c).Outcome.Status)
	})
}

func TestReadsAreDoneInTheirTurn(t *testing.T) {
	eachStore(t, func(t *testing.T, s store.Store) {
		r := newRig(t, s)
		var seen []int64
		read := func(current bool) {
			require.NoError(t, r.SubmitRead(t.Context(), &lane.Read{Key: key("a"), Current: current,
				Look: func(i aggregate.Instance) error { seen = append(seen, i.Sequence()); return nil },
				Done: func(err error) { require.NoError(t, err) }}))
		}
		read(false)
		r.put(add("a", "1", 1))
		read(true)
		r.put(&lane.Command{Key: key("a"), ID: "2", Name: "add", Body: body(Add{By: 1, Times: 3})})
		read(false)
		last := r.put(add("b", "3", 1))
		r.run()
		<-last
		require.Equal(t, []int64{0, 1, 4}, seen)
	})
}

func TestAReadGetsItsOwnError(t *testing.T) {
	r := newRig(t, store.NewMemory(1)).run()
	done := make(chan error, 1)
	read := &lane.Read{Key: key("a"), Look: func(aggregate.Instance) error { return fmt.Errorf("looked away") },
		Done: func(err error) { done <- err }}
	require.NoError(t, r.OfferRead(read))
	require.EqualError(t, <-done, "looked away")
	read.Key.Type = "ghost"
	require.NoError(t, r.OfferRead(read))
	require.EqualError(t, <-done, `unknown_aggregate: no aggregate type "ghost" is defined here; there are: tally`)
}

func TestAnUnreadableHistoryHoldsUpNobodyElse(t *testing.T) {
	eachStore(t, func(t *testing.T, s store.Store) {
		at := acquired(t, s)
		require.NoError(t, s.Commit(t.Context(), &store.Commit{Epoch: at.Epoch, Events: []store.Event{{Position: 1, Aggregate: key("a"),
			Recorded: aggregate.Recorded{Sequence: 1, Type: "gone", Version: 1, Body: []byte(`{}`)}, RecordedAt: time.Unix(9, 0)}}}))
		r := newRig(t, s).run()
		results := r.batch(add("a", "1", 1), add("b", "1", 1), add("a", "2", 1))
		require.Equal(t, []string{"failed unreadable_aggregate", "committed", "failed unreadable_aggregate"}, statuses(results))
		require.Contains(t, results[0].Outcome.Error.Message, `event tally "gone" at sequence 1`)
		_, err := r.look("a", true)
		require.ErrorContains(t, err, "unreadable_aggregate")
	})
}

func expecting(sequence int64, c *lane.Command) *lane.Command {
	c.ExpectSequence = &sequence
	return c
}

func sequencesOf(results []lane.Result) (n []int64) {
	for _, r := range results {
		n = append(n, r.Outcome.Sequence)
	}
	return n
}

func positionsOf(results []lane.Result) (n []int64) {
	for _, r := range results {
		n = append(n, r.Outcome.Position)
	}
	return n
}
