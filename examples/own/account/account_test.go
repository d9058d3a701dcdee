package account_test

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/maestro-es/maestro"
	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/aggregate/aggregatetest"
	"github.com/maestro-es/maestro/maestrotest"
	"github.com/maestro-es/maestro/projections"

	"example.com/own/account"
)

// A rule needs no server.
func TestNobodyGetsIntoDebt(t *testing.T) {
	aggregatetest.For(t, account.Definition).
		Given(account.Opened{Owner: "ada"}, account.Deposited{Cents: 500}).
		When(account.Withdraw{Cents: 501}).
		ThenRejected("insufficient_funds").
		When(account.Withdraw{Cents: 500}).
		Then(account.Withdrawn{Cents: 500})
}

// The rule holds for any commands. If it did not, the test would show the shortest list of commands
// that breaks it.
func TestNoCommandsLeadIntoDebt(t *testing.T) {
	commands := rapid.Custom(func(t *rapid.T) aggregate.Command[account.Account] {
		switch rapid.IntRange(0, 2).Draw(t, "command") {
		case 0:
			return rapid.Make[account.Open]().Draw(t, "open")
		case 1:
			return account.Deposit{Cents: rapid.Int64Range(-10, 100).Draw(t, "deposit")}
		default:
			return account.Withdraw{Cents: rapid.Int64Range(-10, 100).Draw(t, "withdraw")}
		}
	})
	aggregatetest.Any(t, account.Definition, commands, func(a aggregate.Root[account.Account]) error {
		if a.State.Cents < 0 {
			return fmt.Errorf("the account is %d cents in debt", -a.State.Cents)
		}
		return nil
	})
}

// A read model is tested with Postgres, by way of a worker.
func TestBalances(t *testing.T) {
	worker := maestrotest.Run(t, maestro.Config{
		Aggregates:  []aggregate.Type{account.Definition},
		Projections: []*projections.Projection{account.Balances},
	})
	maestrotest.On(worker, account.Definition, "42").
		Given(account.Open{Owner: "ada"}, account.Deposit{Cents: 500}).
		When(account.Withdraw{Cents: 200}).
		Then(account.Withdrawn{Cents: 200})

	var cents int64
	err := worker.Database.QueryRow(t.Context(), `select cents from maestro_read.balances where id = '42'`).Scan(&cents)
	if err != nil || cents != 300 {
		t.Fatalf("expected 300 cents, got %d and the error %v", cents, err)
	}
}
