package hostile

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/maestro-es/maestro/aggregate"
)

// Ledger is the state. Every event counts.
type Ledger struct {
	Events int               `json:"events"`
	Notes  map[string]string `json:"notes,omitempty"`
	// writes names the mistake in the state's JSON and its snapshots.
	writes string
}

type (
	root   = aggregate.Root[Ledger]
	events = []aggregate.Event[Ledger]
)

// Habit is what user code does wrong, and the required outcome of the command that makes it do so.
type Habit struct {
	Name string
	// Want is the outcome: "committed", or a status and a code such as "failed panic". If several
	// outcomes are right, " or " stands between them.
	Want string
}

// Definition puts the aggregate together.
var Definition = aggregate.Define("ledger", aggregate.SnapshotEvery[Ledger](2),
	aggregate.Handles[Add]("add"), aggregate.Handles[Misbehave]("misbehave"), aggregate.Handles[Tempt]("tempt"),
	aggregate.Handles[Observe]("observe"),
	aggregate.Emits[Added]("added"), aggregate.Emits[Wild]("wild"), aggregate.Emits[Observed]("observed"),
	aggregate.Emits[TemptedInHand]("tempted_in_hand"), aggregate.Emits[TemptedBatch]("tempted_batch"),
	aggregate.Emits[TemptedQueue]("tempted_queue"))

// Add is the command without anything wrong.
type Add struct {
	Text string `json:"text,omitempty"`
}

// Decide adds one event.
func (c Add) Decide(root) (events, error) { return events{Added(c)}, nil }

// Added is the event without anything wrong.
type Added struct {
	Text string `json:"text,omitempty"`
}

// Evolve counts, and makes the state's JSON correct again.
func (e Added) Evolve(l Ledger) Ledger {
	l.Events++
	l.writes = ""
	return l
}

// Misbehave has a habit of the tables [Deciding] or [Encoding].
type Misbehave struct {
	Habit string `json:"habit"`
	// What is data that some habits put into an event unchanged.
	What json.RawMessage `json:"what,omitempty"`
}

// Decide does what the habit says.
func (c Misbehave) Decide(r root) (events, error) {
	for _, h := range slices.Concat(Deciding, Encoding) {
		if h.Name == c.Habit {
			return h.Decide(c, r)
		}
	}
	return nil, fmt.Errorf("no habit %q", c.Habit)
}

// Tempt leads to an event that makes a read model do what a habit says.
type Tempt struct {
	Habit string `json:"habit"`
	// Form is the form of the read model: "hand", "batch" or "queue".
	Form string `json:"form"`
}

// Decide adds the event for the form of the read model.
func (c Tempt) Decide(root) (events, error) {
	switch c.Form {
	case "hand":
		return events{TemptedInHand{c.Habit}}, nil
	case "batch":
		return events{TemptedBatch{c.Habit}}, nil
	default:
		return events{TemptedQueue{c.Habit}}, nil
	}
}

type (
	// TemptedInHand makes a read model misbehave that has the transaction in hand, event by event.
	TemptedInHand struct{ Habit string }
	// TemptedBatch makes a read model misbehave that takes all events of a commit.
	TemptedBatch struct{ Habit string }
	// TemptedQueue makes a read model misbehave that queues its SQL.
	TemptedQueue struct{ Habit string }
)

// Evolve counts.
func (e TemptedInHand) Evolve(l Ledger) Ledger { l.Events++; return l }

// Evolve counts.
func (e TemptedBatch) Evolve(l Ledger) Ledger { l.Events++; return l }

// Evolve counts.
func (e TemptedQueue) Evolve(l Ledger) Ledger { l.Events++; return l }

// Observe makes a read model write down what its session looks like.
type Observe struct{}

// Decide adds one event.
func (Observe) Decide(root) (events, error) { return events{Observed{}}, nil }

// Observed is the event of [Observe].
type Observed struct{}

// Evolve counts.
func (Observed) Evolve(l Ledger) Ledger { l.Events++; return l }
