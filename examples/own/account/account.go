// Package account holds an account in cents: what can be asked of it, and what can happen to it.
package account

import "github.com/maestro-es/maestro/aggregate"

// Account is the state.
type Account struct {
	Owner string `json:"owner"`
	Cents int64  `json:"cents"`
}

// Open opens the account for its owner.
type Open struct {
	Owner string `json:"owner"`
}

// Deposit puts money into the account.
type Deposit struct {
	Cents int64 `json:"cents"`
}

// Withdraw takes money out, but not more than the balance.
type Withdraw struct {
	Cents int64 `json:"cents"`
}

// Opened says that the account has an owner.
type Opened struct {
	Owner string `json:"owner"`
}

// Deposited says that money has come.
type Deposited struct {
	Cents int64 `json:"cents"`
}

// Withdrawn says that money has gone.
type Withdrawn struct {
	Cents int64 `json:"cents"`
}

// Definition gives commands and events their names on the wire.
var Definition = aggregate.Define("account",
	aggregate.Handles[Open]("open"),
	aggregate.Handles[Deposit]("deposit"),
	aggregate.Handles[Withdraw]("withdraw"),
	aggregate.Emits[Opened]("opened"),
	aggregate.Emits[Deposited]("deposited"),
	aggregate.Emits[Withdrawn]("withdrawn"))

// Decide opens an account once.
func (c Open) Decide(a aggregate.Root[Account]) ([]aggregate.Event[Account], error) {
	if a.State.Owner != "" {
		return nil, aggregate.Reject("already_open", "the account belongs to %s", a.State.Owner)
	}
	if c.Owner == "" {
		return nil, aggregate.Reject("no_owner", "an account needs an owner")
	}
	return []aggregate.Event[Account]{Opened(c)}, nil
}

// Decide takes any amount above zero.
func (c Deposit) Decide(a aggregate.Root[Account]) ([]aggregate.Event[Account], error) {
	if err := check(a.State, c.Cents); err != nil {
		return nil, err
	}
	return []aggregate.Event[Account]{Deposited(c)}, nil
}

// Decide refuses a withdrawal that would leave a debt.
func (c Withdraw) Decide(a aggregate.Root[Account]) ([]aggregate.Event[Account], error) {
	if err := check(a.State, c.Cents); err != nil {
		return nil, err
	}
	if c.Cents > a.State.Cents {
		return nil, aggregate.Reject("insufficient_funds", "the account has %d cents, not %d", a.State.Cents, c.Cents)
	}
	return []aggregate.Event[Account]{Withdrawn(c)}, nil
}

func check(a Account, cents int64) error {
	if a.Owner == "" {
		return aggregate.Reject("not_open", "open the account first")
	}
	if cents <= 0 {
		return aggregate.Reject("invalid_amount", "cents must be positive, got %d", cents)
	}
	return nil
}

// Evolve gives the account its owner.
func (e Opened) Evolve(a Account) Account { a.Owner = e.Owner; return a }

// Evolve adds to the balance.
func (e Deposited) Evolve(a Account) Account { a.Cents += e.Cents; return a }

// Evolve takes from the balance.
func (e Withdrawn) Evolve(a Account) Account { a.Cents -= e.Cents; return a }
