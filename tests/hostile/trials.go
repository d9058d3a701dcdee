package hostile

import (
	"slices"
	"strings"
)

// Trial is a habit and the command that shows it.
type Trial struct {
	Habit
	Command string
	Data    any
}

// TakesTime tells whether the habit blocks its own partition for seconds, because it is slow or
// because the lane tries it several times before it gives the command up.
func (t Trial) TakesTime() bool {
	return strings.Contains(t.Name, "slow") || strings.Contains(t.Name, "locks") || strings.Contains(t.Want, gaveUp)
}

// Trials are all habits of all forms.
func Trials() (all []Trial) {
	all = slices.Concat(CommandTrials(), ModelTrials("hand"), ModelTrials("batch"))
	return append(all, QueueTrials()...)
}

// CommandTrials are the habits of the aggregate.
func CommandTrials() (all []Trial) {
	for _, h := range slices.Concat(Deciding, Encoding) {
		all = append(all, Trial{h.Habit, "misbehave", Misbehave{Habit: h.Name}})
	}
	return all
}

// ModelTrials are the habits of a read model that has the transaction in hand, for each event
// ("hand") or for all at once ("batch").
func ModelTrials(form string) (all []Trial) {
	for _, h := range InHand() {
		all = append(all, Trial{h.Habit, "tempt", Tempt{Habit: h.Name, Form: form}})
	}
	return all
}

// QueueTrials are the habits of queued SQL.
func QueueTrials() (all []Trial) {
	for _, h := range Queueing {
		all = append(all, Trial{h.Habit, "tempt", Tempt{Habit: h.Name, Form: "queue"}})
	}
	return all
}
