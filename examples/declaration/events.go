package declaration

import "time"

// Fact is the part that all events have: when and by whom the step was taken, and the amount of the
// declaration. With it, a reader of events needs no state. Each event alone determines the state
// after it.
type Fact struct {
	At          time.Time `json:"at,omitzero"`
	Role        string    `json:"role,omitempty"`
	AmountCents int64     `json:"amount_cents"`
}

// Saved says that a draft was kept.
type Saved Fact

func (e Saved) Evolve(Declaration) Declaration {
	return Declaration{Status: saved, AmountCents: e.AmountCents}
}

// Submitted says that the declaration was handed in.
type Submitted Fact

func (e Submitted) Evolve(Declaration) Declaration {
	return Declaration{Status: submitted, AmountCents: e.AmountCents}
}

// Approved says that somebody agreed, while others still have to.
type Approved Fact

func (e Approved) Evolve(Declaration) Declaration {
	return Declaration{Status: submitted, AmountCents: e.AmountCents}
}

// FinalApproved says that the last one agreed.
type FinalApproved Fact

func (e FinalApproved) Evolve(Declaration) Declaration {
	return Declaration{Status: approved, AmountCents: e.AmountCents}
}

// Rejected says that somebody refused, or gave up.
type Rejected Fact

func (e Rejected) Evolve(Declaration) Declaration {
	return Declaration{Status: rejected, AmountCents: e.AmountCents}
}

// PaymentRequested says that somebody was asked to pay.
type PaymentRequested Fact

func (e PaymentRequested) Evolve(Declaration) Declaration {
	return Declaration{Status: paymentRequested, AmountCents: e.AmountCents}
}

// PaymentHandled says that the declaration was paid.
type PaymentHandled Fact

func (e PaymentHandled) Evolve(Declaration) Declaration {
	return Declaration{Status: paid, AmountCents: e.AmountCents}
}
