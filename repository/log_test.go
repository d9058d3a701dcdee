package repository_test

import (
	"fmt"
	"iter"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/repository"
	"github.com/maestro-es/maestro/store"
)

// collect ranges over events up to the first error.
func collect[S any](events iter.Seq2[repository.Event[S], error]) (all []repository.Event[S], err error) {
	for e, err := range events {
		if err != nil {
			return all, err
		}
		all = append(all, e)
	}
	return all, nil
}

func TestTheLogIsReadWithoutPartitions(t *testing.T) {
	eachStore(t, func(t *testing.T, log store.Store) {
		accounts := accounts(t, log)
		others, err := repository.New(t.Context(), aggregate.Define("other", aggregate.Handles[Deposit]("deposit"),
			aggregate.Emits[Deposited]("deposited")), log, repository.Config{})
		require.NoError(t, err)
		const each = 5
		for n := range each {
			for id := range 10 {
				_, err := accounts.Evaluate(t.Context(), fmt.Sprint(id), Deposit{Amount: n + 1}, repository.Evaluation{CorrelationID: "c"})
				require.NoError(t, err)
			}
			_, err := others.Evaluate(t.Context(), "1", Deposit{Amount: 1}, repository.Evaluation{})
			require.NoError(t, err)
		}
		after, seen := map[int]int64{}, map[string]int64{}
		all, err := collect(accounts.Log(t.Context(), nil))
		require.NoError(t, err)
		require.Len(t, all, 10*each)
		for _, e := range all {
			seen[e.ID]++
			require.Equal(t, seen[e.ID], e.Sequence)
			require.Equal(t, Deposited{Amount: int(e.Sequence)}, e.Value)
			require.Equal(t, "c", e.Metadata.CorrelationID)
			require.Greater(t, e.Position, after[e.Partition])
			after[e.Partition] = e.Position
		}
		history, err := collect(accounts.History(t.Context(), "3", 2))
		require.NoError(t, err)
		require.Len(t, history, each-2)
		require.EqualValues(t, 3, history[0].Sequence)

		more, err := collect(accounts.Log(t.Context(), after))
		require.NoError(t, err)
		require.Empty(t, more)
		_, err = accounts.Evaluate(t.Context(), "3", Deposit{Amount: 9}, repository.Evaluation{})
		require.NoError(t, err)
		more, err = collect(accounts.Log(t.Context(), after))
		require.NoError(t, err)
		require.Len(t, more, 1)
		require.Equal(t, Deposited{Amount: 9}, more[0].Value)

		for range accounts.Log(t.Context(), nil) {
			break
		}
		for _, err = range accounts.History(t.Context(), "a b", 0) {
			require.ErrorContains(t, err, "a b")
		}
	})
}

// A history of more than a page comes whole.
func TestALongHistoryIsReadPageByPage(t *testing.T) {
	eachStore(t, func(t *testing.T, log store.Store) {
		accounts := accounts(t, log)
		const many = 2500
		_, err := accounts.Evaluate(t.Context(), "1", Deposit{Amount: many}, repository.Evaluation{})
		require.NoError(t, err)
		_, err = accounts.Evaluate(t.Context(), "1", Close{}, repository.Evaluation{})
		require.NoError(t, err)
		for _, events := range []iter.Seq2[repository.Event[Account], error]{accounts.History(t.Context(), "1", 0), accounts.Log(t.Context(), nil)} {
			for range 2 { // it begins anew each time
				all, err := collect(events)
				require.NoError(t, err)
				require.Len(t, all, 1+many)
			}
		}
	})
}

// An event that this program does not know ends the range, and says where.
func TestAnEventThatCannotBeReadEndsTheLog(t *testing.T) {
	eachStore(t, func(t *testing.T, log store.Store) {
		newer, err := repository.New(t.Context(), aggregate.Define("account", aggregate.Handles[Deposit]("deposit"),
			aggregate.Emits[Deposited]("paid_in")), log, repository.Config{})
		require.NoError(t, err)
		_, err = newer.Evaluate(t.Context(), "7", Deposit{Amount: 1}, repository.Evaluation{})
		require.NoError(t, err)
		all, err := collect(accounts(t, log).Log(t.Context(), nil))
		require.Empty(t, all)
		var unreadable *aggregate.EventError
		require.ErrorAs(t, err, &unreadable)
		require.ErrorContains(t, err, "account 7")
	})
}
