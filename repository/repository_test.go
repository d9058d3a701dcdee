package repository_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/internal/wire"
	"github.com/maestro-es/maestro/repository"
	"github.com/maestro-es/maestro/store"
)

func TestEvaluateGivesWhatIsAskedFor(t *testing.T) {
	eachStore(t, func(t *testing.T, s store.Store) {
		r := accounts(t, s)
		result, err := r.Evaluate(t.Context(), "1", Deposit{Amount: 3}, repository.Evaluation{CommandID: "c-1"})
		require.NoError(t, err)
		require.Equal(t, repository.Result[Account]{Outcome: store.Outcome{Status: store.Committed, Aggregate: "account", ID: "1",
			CommandID: "c-1", Sequence: 1, Partition: wire.Partition("account", "1", 4), Position: 1}}, result)

		result, err = r.Evaluate(t.Context(), "1", Deposit{Amount: 0}, repository.Evaluation{Return: repository.ReturnEvents})
		require.NoError(t, err)
		require.Empty(t, result.Events)
		require.NoError(t, aggregate.CheckID(result.Outcome.CommandID), "a fresh id")

		result, err = r.Evaluate(t.Context(), "1", Close{}, repository.Evaluation{Return: repository.ReturnEvents})
		require.NoError(t, err)
		require.Equal(t, []aggregate.Event[Account]{Withdrawn{1}, Withdrawn{1}, Withdrawn{1}}, result.Events)

		result, err = r.Evaluate(t.Context(), "1", Deposit{Amount: 7}, repository.Evaluation{Return: repository.ReturnState})
		require.NoError(t, err)
		require.Equal(t, aggregate.Root[Account]{ID: "1", Sequence: 5, State: Account{Balance: 7}}, result.Root)
	})
}

func TestEventsRememberWhatLedToThem(t *testing.T) {
	eachStore(t, func(t *testing.T, s store.Store) {
		_, err := accounts(t, s).Evaluate(t.Context(), "1", Deposit{Amount: 3},
			repository.Evaluation{CommandID: "c-1", CorrelationID: "ü", CausationID: "order-7"})
		require.NoError(t, err)
		events, err := s.Events(t.Context(), wire.Partition("account", "1", 4), store.Key{Type: "account", ID: "1"}, 0, 10)
		require.NoError(t, err)
		require.Equal(t, store.Metadata{CommandID: "c-1", CorrelationID: "ü", CausationID: "order-7"}, events[0].Metadata)
	})
}

func TestRefusalsAreTyped(t *testing.T) {
	eachStore(t, func(t *testing.T, s store.Store) {
		r := accounts(t, s)
		result, err := r.Evaluate(t.Context(), "1", Withdraw{Amount: 3}, repository.Evaluation{CommandID: "c-1"})
		require.Equal(t, &aggregate.Rejection{Code: "insufficient_funds", Message: "there are only 0"}, err)
		require.Equal(t, store.Rejected, result.Outcome.Status)

		result, err = r.Evaluate(t.Context(), "1", Withdraw{Amount: 0}, repository.Evaluation{CommandID: "c-1"})
		require.Equal(t, &store.Error{Code: "insufficient_funds", Message: "there are only 0"}, err, "the first outcome again")
		require.True(t, result.Outcome.Duplicate)

		seven := int64(7)
		_, err = r.Evaluate(t.Context(), "1", Deposit{Amount: 3}, repository.Evaluation{ExpectSequence: &seven})
		require.Equal(t, &aggregate.SequenceMismatchError{Aggregate: "account", ID: "1", Expected: 7, Actual: 0}, err)

		_, err = r.Evaluate(t.Context(), "1", Withdraw{Amount: -5}, repository.Evaluation{})
		require.NoError(t, err)
		_, err = r.Evaluate(t.Context(), "1", Withdraw{Amount: 5}, repository.Evaluation{})
		require.NoError(t, err)
		_, err = r.Evaluate(t.Context(), "1", Deposit{Amount: -1}, repository.Evaluation{})
		require.NoError(t, err)
		result, err = r.Evaluate(t.Context(), "1", Close{}, repository.Evaluation{})
		require.EqualError(t, err, "the books are wrong")
		require.Equal(t, "handler_failed", result.Outcome.Error.Code)
	})
}

func TestTheSameCommandAgainGivesTheFirstOutcome(t *testing.T) {
	eachStore(t, func(t *testing.T, s store.Store) {
		r := accounts(t, s)
		for _, want := range []repository.Return{repository.ReturnEvents, repository.ReturnState} {
			id := r.New()
			evaluate := func(r *repository.Repository[Account]) repository.Result[Account] {
				result, err := r.Evaluate(t.Context(), id, Deposit{Amount: 3}, repository.Evaluation{CommandID: "c", Return: want})
				require.NoError(t, err)
				return result
			}
			first := evaluate(r)
			require.False(t, first.Outcome.Duplicate)
			_, err := r.Evaluate(t.Context(), id, Deposit{Amount: 4}, repository.Evaluation{})
			require.NoError(t, err)
			first.Outcome.Duplicate = true
			require.Equal(t, first, evaluate(r))
			require.Equal(t, first, evaluate(accounts(t, s)), "to whomever it is given")
		}
	})
}

func TestReadingAnAggregate(t *testing.T) {
	eachStore(t, func(t *testing.T, s store.Store) {
		ctx, r, other := t.Context(), accounts(t, s), accounts(t, s)
		root, err := r.Get(ctx, "1")
		require.NoError(t, err)
		require.Equal(t, aggregate.Root[Account]{ID: "1"}, root)
		for i := range 3 {
			_, err := other.Evaluate(ctx, "1", Deposit{Amount: i + 1}, repository.Evaluation{})
			require.NoError(t, err)
		}
		root, err = r.Get(ctx, "1")
		require.NoError(t, err)
		require.Zero(t, root.Sequence, "as it was last known here")
		now := aggregate.Root[Account]{ID: "1", Sequence: 3, State: Account{Balance: 6}}
		root, err = r.Fetch(ctx, "1")
		require.NoError(t, err)
		require.Equal(t, now, root)
		root, err = r.Get(ctx, "1")
		require.NoError(t, err)
		require.Equal(t, now, root)

		for sequence, balance := range []int{0, 1, 3, 6} {
			root, err = r.Replay(ctx, "1", int64(sequence))
			require.NoError(t, err)
			require.Equal(t, aggregate.Root[Account]{ID: "1", Sequence: int64(sequence), State: Account{Balance: balance}}, root)
		}
		_, err = r.Replay(ctx, "1", 4)
		require.Equal(t, &aggregate.SequenceMismatchError{Aggregate: "account", ID: "1", Expected: 4, Actual: 3}, err)
	})
}

func TestASnapshotStandsInForTheEvents(t *testing.T) {
	eachStore(t, func(t *testing.T, s store.Store) {
		r := accounts(t, s)
		for range 3 {
			_, err := r.Evaluate(t.Context(), "1", Deposit{Amount: 2}, repository.Evaluation{})
			require.NoError(t, err)
		}
		before, err := s.Partition(t.Context(), wire.Partition("account", "1", 4))
		require.NoError(t, err)
		require.NoError(t, r.Snapshot(t.Context(), "1"))
		after, err := s.Partition(t.Context(), wire.Partition("account", "1", 4))
		require.NoError(t, err)
		before.Clock = after.Clock // everything else is unchanged
		require.Equal(t, before, after)
		histories, err := s.Load(t.Context(), wire.Partition("account", "1", 4),
			[]store.Query{{Key: store.Key{Type: "account", ID: "1"}, SnapshotVersion: 1}})
		require.NoError(t, err)
		require.NotNil(t, histories[0].Snapshot)
		require.EqualValues(t, 3, histories[0].Snapshot.Sequence)
		require.Empty(t, histories[0].Events)
		root, err := accounts(t, s).Fetch(t.Context(), "1")
		require.NoError(t, err)
		require.Equal(t, aggregate.Root[Account]{ID: "1", Sequence: 3, State: Account{Balance: 6}}, root)
	})
}

func TestAnIdleAggregateGoesWithASnapshot(t *testing.T) {
	eachStore(t, func(t *testing.T, s store.Store) {
		idle := aggregate.Define("account", aggregate.Handles[Deposit]("deposit"), aggregate.Emits[Deposited]("deposited"),
			aggregate.WhenIdle[Account](aggregate.ExitWithSnapshot))
		r, err := repository.New(t.Context(), idle, s, repository.Config{CacheIdle: 20 * time.Millisecond})
		require.NoError(t, err)
		_, err = r.Evaluate(t.Context(), "1", Deposit{Amount: 2}, repository.Evaluation{})
		require.NoError(t, err)
		require.Eventually(t, func() bool {
			histories, err := s.Load(t.Context(), wire.Partition("account", "1", 4),
				[]store.Query{{Key: store.Key{Type: "account", ID: "1"}, SnapshotVersion: 1}})
			return err == nil && histories[0].Snapshot != nil
		}, 20*time.Second, 5*time.Millisecond)
	})
}

func TestCallRunsInTheAggregatesTurn(t *testing.T) {
	eachStore(t, func(t *testing.T, s store.Store) {
		ctx, r := t.Context(), accounts(t, s)
		var group sync.WaitGroup
		for range 4 {
			group.Go(func() {
				for range 50 {
					_, err := r.Evaluate(ctx, "1", Deposit{Amount: 1}, repository.Evaluation{})
					assert.NoError(t, err)
				}
			})
		}
		count := func() int {
			events, err := s.Events(ctx, wire.Partition("account", "1", 4), store.Key{Type: "account", ID: "1"}, 0, 1000)
			require.NoError(t, err)
			return len(events)
		}
		for last := int64(0); last < 200; {
			require.NoError(t, r.Call(ctx, "1", func(root aggregate.Root[Account]) error {
				before := count()
				runtime.Gosched()
				if after := count(); after != before {
					return fmt.Errorf("%d events became %d", before, after)
				}
				require.GreaterOrEqual(t, root.Sequence, last, "what was seen stays")
				last = root.Sequence
				return nil
			}))
		}
		group.Wait()
	})
}

func TestWhatACalledFunctionDoesIsReturned(t *testing.T) {
	eachStore(t, func(t *testing.T, s store.Store) {
		ctx, r := t.Context(), accounts(t, s)
		wrong := errors.New("wrong")
		require.ErrorIs(t, r.Call(ctx, "1", func(aggregate.Root[Account]) error { return wrong }), wrong)

		err := r.Call(ctx, "1", func(aggregate.Root[Account]) error { panic("in a call") })
		var panicked *aggregate.PanicError
		require.ErrorAs(t, err, &panicked)
		require.EqualError(t, err, "call on account 1 panicked: in a call")
		require.Contains(t, string(panicked.Stack), "repository_test.go")
		_, err = r.Fetch(ctx, "1")
		require.NoError(t, err, "the repository goes on")
	})
}

type stranger struct{}

func (stranger) Decide(aggregate.Root[Account]) ([]aggregate.Event[Account], error) { return nil, nil }

// Text that no store can take is refused before it reaches the store.
func TestWhatCannotBeACommandIsRefusedAtOnce(t *testing.T) {
	eachStore(t, func(t *testing.T, s store.Store) {
		ctx, r := t.Context(), accounts(t, s)
		_, err := r.Evaluate(ctx, "1", stranger{}, repository.Evaluation{})
		require.ErrorAs(t, err, new(*aggregate.UnknownCommandError))
		for _, bad := range []string{"", "a.b", "a b", strings.Repeat("x", 129)} {
			_, err := r.Evaluate(ctx, bad, Deposit{}, repository.Evaluation{})
			require.ErrorContains(t, err, "aggregate id")
			_, err = r.Fetch(ctx, bad)
			require.ErrorContains(t, err, "aggregate id")
		}
		for _, bad := range []string{"a\x00b", "\xff", "a\nb", strings.Repeat("x", 5000)} {
			for what, e := range map[string]repository.Evaluation{"command id": {CommandID: bad}, "correlation id": {CorrelationID: bad},
				"causation id": {CausationID: bad}} {
				_, err := r.Evaluate(ctx, "1", Deposit{Amount: 1}, e)
				require.ErrorContains(t, err, what)
			}
		}
		root, err := r.Fetch(ctx, "1")
		require.NoError(t, err)
		require.Zero(t, root.Sequence)
	})
}

func TestARepositoryEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	r, err := repository.New(ctx, account, store.NewMemory(1), repository.Config{Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	_, err = r.Evaluate(t.Context(), "1", Deposit{Amount: 1}, repository.Evaluation{})
	require.NoError(t, err)
	stop()
	_, err = r.Evaluate(t.Context(), "1", Deposit{Amount: 1}, repository.Evaluation{})
	require.Error(t, err)
	_, err = r.Get(t.Context(), "1")
	require.Error(t, err)
}

func TestARepositoryRefusesABrokenDefinition(t *testing.T) {
	t.Parallel()
	_, err := repository.New(t.Context(), aggregate.Define[Account]("account"), store.NewMemory(1), repository.Config{})
	require.ErrorContains(t, err, "no command")
}

func TestFreshIDsAreUnique(t *testing.T) {
	t.Parallel()
	s := store.NewMemory(1)
	one, other, seen := accounts(t, s), accounts(t, s), map[string]bool{}
	for range 1000 {
		seen[one.New()], seen[other.New()] = true, true
	}
	require.Len(t, seen, 2000)
}

// Ids made from a program's name would not be unique if two programs have the same name.
func TestProgramsWithOneNameMakeDifferentIDs(t *testing.T) {
	eachStore(t, func(t *testing.T, s store.Store) {
		const commands = 50
		var programs []*repository.Repository[Account]
		ends := map[string]bool{}
		for range 2 {
			r, err := repository.New(t.Context(), account, s, repository.Config{Node: "twin"})
			require.NoError(t, err)
			programs = append(programs, r)
			ends[r.New()[19:]] = true
		}
		require.Len(t, ends, 2, "what does not come from the time")
		seen := map[string]bool{}
		for range commands {
			for _, r := range programs {
				result, err := r.Evaluate(t.Context(), "1", Deposit{Amount: 1}, repository.Evaluation{})
				require.NoError(t, err)
				require.False(t, result.Outcome.Duplicate)
				require.False(t, seen[result.Outcome.CommandID])
				seen[result.Outcome.CommandID] = true
			}
		}
		root, err := programs[0].Fetch(t.Context(), "1")
		require.NoError(t, err)
		require.Equal(t, 2*commands, root.State.Balance)
	})
}
