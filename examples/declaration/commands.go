package declaration

import (
	"time"

	"github.com/maestro-es/maestro/aggregate"
)

// Root is the aggregate as a command sees it.
type Root = aggregate.Root[Declaration]

// Events are the events that a command leads to.
type Events = []aggregate.Event[Declaration]

// Step is the part that all commands have: when the step was taken, by whom, and in which role. All
// of it may be absent.
type Step struct {
	At   time.Time `json:"at,omitzero"`
	Role string    `json:"role,omitempty"`
}

// Save keeps a draft.
type Save Fact

func (c Save) Decide(r Root) (Events, error) {
	if err := r.State.expect("already_begun", fresh); err != nil {
		return nil, err
	}
	if err := checkAmount(c.AmountCents); err != nil {
		return nil, err
	}
	return Events{Saved(c)}, nil
}

// Submit hands the declaration in, or hands it in again after a rejection.
type Submit Fact

func (c Submit) Decide(r Root) (Events, error) {
	if err := r.State.expect("already_submitted", fresh, saved, rejected); err != nil {
		return nil, err
	}
	if err := checkAmount(c.AmountCents); err != nil {
		return nil, err
	}
	return Events{Submitted(c)}, nil
}

// checkAmount accepts 0, because a trip may have cost nothing and still be declared.
func checkAmount(cents int64) error {
	if cents < 0 {
		return aggregate.Reject("invalid_amount", "amount_cents must not be negative, got %d", cents)
	}
	return nil
}

// Approve says that somebody agrees, and that others still have to.
type Approve Step

func (c Approve) Decide(r Root) (Events, error) {
	if err := r.State.expect("not_submitted", submitted); err != nil {
		return nil, err
	}
	return Events{Approved{c.At, c.Role, r.State.AmountCents}}, nil
}

// FinalApprove says that the last one agrees.
type FinalApprove Step

func (c FinalApprove) Decide(r Root) (Events, error) {
	if err := r.State.expect("not_submitted", submitted); err != nil {
		return nil, err
	}
	return Events{FinalApproved{c.At, c.Role, r.State.AmountCents}}, nil
}

// Reject sends the declaration back. A rejected declaration can be rejected again, by the employee,
// who then gives it up.
type Reject Step

func (c Reject) Decide(r Root) (Events, error) {
	if err := r.State.expect("not_rejectable", submitted, approved, paymentRequested, rejected); err != nil {
		return nil, err
	}
	return Events{Rejected{c.At, c.Role, r.State.AmountCents}}, nil
}

// RequestPayment asks for the payment.
type RequestPayment Step

func (c RequestPayment) Decide(r Root) (Events, error) {
	if err := r.State.expect("not_approved", approved); err != nil {
		return nil, err
	}
	return Events{PaymentRequested{c.At, c.Role, r.State.AmountCents}}, nil
}

// HandlePayment says that the declaration is paid.
type HandlePayment Step

func (c HandlePayment) Decide(r Root) (Events, error) {
	if err := r.State.expect("payment_not_requested", paymentRequested); err != nil {
		return nil, err
	}
	return Events{PaymentHandled{c.At, c.Role, r.State.AmountCents}}, nil
}
