package generate

import "time"

// stage is the position of a declaration in the process, in more detail than the aggregate's
// status.
type stage string

const (
	fresh     stage = "fresh"
	saved     stage = "saved"
	submitted stage = "submitted"
	checked   stage = "checked"   // approved by some, not by all
	returned  stage = "returned"  // rejected by the office
	withdrawn stage = "withdrawn" // and then by the employee
	approved  stage = "approved"
	ordered   stage = "ordered" // its payment is requested
	paid      stage = "paid"
	abandoned stage = "abandoned"
)

// step is a command that may come next.
type step struct {
	// share is the share of the declarations in a stage that take this step. The shares of a stage
	// add up to 1.
	share         float64
	command, role string
	to            stage
	// after is the mean time since the previous step.
	after time.Duration
}

const (
	hour = time.Hour
	day  = 24 * time.Hour
)

// process lists the steps that may follow at each stage.
var process = map[stage][]step{
	fresh: {
		{0.98, "submit", "employee", submitted, 0},
		{0.02, "save", "employee", saved, 0},
	},
	saved: {{1, "submit", "employee", submitted, day}},
	submitted: {
		{0.71, "approve", "administration", checked, hour},
		{0.06, "approve", "pre_approver", checked, hour},
		{0.135, "final_approve", "supervisor", approved, hour},
		{0.095, "reject", "administration", returned, 2 * hour},
	},
	checked: {
		{0.735, "final_approve", "supervisor", approved, 2 * day},
		{0.24, "approve", "budget_owner", checked, 2 * day},
		{0.025, "reject", "supervisor", returned, 2 * day},
	},
	returned: {{1, "reject", "employee", withdrawn, 2 * day}},
	withdrawn: {
		{0.8, "submit", "employee", submitted, day},
		{0.2, "reject", "employee", abandoned, 2 * day},
	},
	approved: {
		{0.99, "request_payment", "", ordered, 2 * day},
		{0.01, "reject", "missing", returned, 3 * day},
	},
	ordered: {{1, "handle_payment", "", paid, 3 * day}},
}

// mistakes are commands that the rules refuse at a stage.
var mistakes = map[stage]string{
	saved:     "approve",
	submitted: "handle_payment",
	checked:   "submit",
	returned:  "final_approve",
	withdrawn: "request_payment",
	approved:  "approve",
	ordered:   "request_payment",
}
