package declaration_test

import (
	"testing"

	"github.com/maestro-es/maestro/aggregate/aggregatetest"
	"github.com/maestro-es/maestro/examples/declaration"
)

func TestHistories(t *testing.T) {
	t.Parallel()
	aggregatetest.Golden(t, declaration.Definition, "testdata/*.txt")
}

func TestDefinitionIsSound(t *testing.T) {
	t.Parallel()
	aggregatetest.Sound(t, declaration.Definition,
		declaration.Save{AmountCents: 1000}, declaration.Submit{AmountCents: 1200}, declaration.Approve{Role: "administration"},
		declaration.Reject{Role: "supervisor"}, declaration.Submit{AmountCents: 1100}, declaration.FinalApprove{Role: "supervisor"},
		declaration.RequestPayment{}, declaration.HandlePayment{})
}

func TestThePaymentIsTheAmountOfTheLastSubmission(t *testing.T) {
	t.Parallel()
	aggregatetest.For(t, declaration.Definition).
		Given(declaration.Submitted{AmountCents: 9900}, declaration.Rejected{AmountCents: 9900},
			declaration.Submitted{AmountCents: 900}, declaration.FinalApproved{AmountCents: 900}).
		When(declaration.RequestPayment{}).
		Then(declaration.PaymentRequested{AmountCents: 900}).
		When(declaration.RequestPayment{}).
		ThenRejected("not_approved").
		When(declaration.HandlePayment{}).
		ThenState(declaration.Declaration{Status: "paid", AmountCents: 900})
}
