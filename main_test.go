package maestro_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/maestro-es/maestro/aggregate"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Account holds money. Deposit adds to it.
type (
	Account   struct{ Balance int }
	Deposit   struct{ Amount int }
	Deposited struct{ Amount int }
)

func (c Deposit) Decide(aggregate.Root[Account]) ([]aggregate.Event[Account], error) {
	return []aggregate.Event[Account]{Deposited(c)}, nil
}

func (e Deposited) Evolve(a Account) Account { return Account{Balance: a.Balance + e.Amount} }

var account = aggregate.Define("account", aggregate.Handles[Deposit]("deposit"), aggregate.Emits[Deposited]("deposited"))
