package repository_test

import (
	"errors"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/internal/localpg"
	"github.com/maestro-es/maestro/repository"
	"github.com/maestro-es/maestro/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Account holds money.
type Account struct{ Balance int }

// Deposit and Withdraw move money. Close withdraws everything, with one event for each coin.
type (
	Deposit   struct{ Amount int }
	Withdraw  struct{ Amount int }
	Close     struct{}
	Deposited struct{ Amount int }
	Withdrawn struct{ Amount int }
)

func (c Deposit) Decide(aggregate.Root[Account]) ([]aggregate.Event[Account], error) {
	if c.Amount == 0 {
		return nil, nil
	}
	return []aggregate.Event[Account]{Deposited(c)}, nil
}

func (c Withdraw) Decide(r aggregate.Root[Account]) ([]aggregate.Event[Account], error) {
	if c.Amount > r.State.Balance {
		return nil, aggregate.Reject("insufficient_funds", "there are only %d", r.State.Balance)
	}
	return []aggregate.Event[Account]{Withdrawn(c)}, nil
}

func (Close) Decide(r aggregate.Root[Account]) (events []aggregate.Event[Account], err error) {
	if r.State.Balance < 0 {
		return nil, errors.New("the books are wrong")
	}
	for range r.State.Balance {
		events = append(events, Withdrawn{Amount: 1})
	}
	return events, nil
}

func (e Deposited) Evolve(a Account) Account { return Account{Balance: a.Balance + e.Amount} }
func (e Withdrawn) Evolve(a Account) Account { return Account{Balance: a.Balance - e.Amount} }

var account = aggregate.Define("account",
	aggregate.Handles[Deposit]("deposit"), aggregate.Handles[Withdraw]("withdraw"), aggregate.Handles[Close]("close"),
	aggregate.Emits[Deposited]("deposited"), aggregate.Emits[Withdrawn]("withdrawn"))

// eachStore runs a test on both stores, with four partitions.
func eachStore(t *testing.T, test func(t *testing.T, s store.Store)) {
	t.Helper()
	t.Parallel()
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		test(t, store.NewMemory(4))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		test(t, postgres(t, localpg.Database(t)))
	})
}

// postgres opens the store of a database with its own pool, like a process.
func postgres(t *testing.T, url string) store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), localpg.Pool(t, url), store.Options{Partitions: 4})
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s
}

// accounts returns a repository that works until the test ends.
func accounts(t *testing.T, s store.Store) *repository.Repository[Account] {
	t.Helper()
	r, err := repository.New(t.Context(), account, s, repository.Config{Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	return r
}
