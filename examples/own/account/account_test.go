package account_test

import (
	"testing"

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
