// Package declaration is a real process: the travel expense declarations of a university, from the
// first draft to the payment.
//
//	save             keeps a draft
//	submit           hands it in, or hands it in again after a rejection
//	approve          somebody agrees, but others still have to
//	final_approve    the last one agrees
//	reject           nobody pays, unless it is submitted again
//	request_payment  somebody is asked to pay
//	handle_payment   it is paid
//
// The process is that of the Domestic Declarations of the BPI Challenge 2020 (B. van Dongen,
// 4TU.ResearchData, CC BY 4.0).
package declaration

import (
	"slices"
	"strings"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/projections"
)

// Declaration is the state.
type Declaration struct {
	Status string `json:"status"`
	// AmountCents is the amount declared by the last save or submit.
	AmountCents int64 `json:"amount_cents"`
}

// The statuses of a declaration.
const (
	fresh            = "new"
	saved            = "saved"
	submitted        = "submitted"
	approved         = "approved"
	rejected         = "rejected"
	paymentRequested = "payment_requested"
	paid             = "paid"
)

// Definition puts the parts together.
var Definition = aggregate.Define("declaration",
	aggregate.Starts(func() Declaration { return Declaration{Status: fresh} }),

	aggregate.Handles[Save]("save"),
	aggregate.Handles[Submit]("submit"),
	aggregate.Handles[Approve]("approve"),
	aggregate.Handles[FinalApprove]("final_approve"),
	aggregate.Handles[Reject]("reject"),
	aggregate.Handles[RequestPayment]("request_payment"),
	aggregate.Handles[HandlePayment]("handle_payment"),

	aggregate.Emits[Saved]("saved"),
	aggregate.Emits[Submitted]("submitted"),
	aggregate.Emits[Approved]("approved"),
	aggregate.Emits[FinalApproved]("final_approved"),
	aggregate.Emits[Rejected]("rejected"),
	aggregate.Emits[PaymentRequested]("payment_requested"),
	aggregate.Emits[PaymentHandled]("payment_handled"))

// Projections are the read models that agree with the declarations at every instant.
func Projections() []*projections.Projection { return []*projections.Projection{Status} }

// expect refuses a command, with the code, unless the declaration has one of the statuses.
func (d Declaration) expect(code string, statuses ...string) error {
	if slices.Contains(statuses, d.Status) {
		return nil
	}
	return aggregate.Reject(code, "the declaration is %s, expected %s", d.Status, strings.Join(statuses, " or "))
}
