package faults

import (
	"encoding/json"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/store"
	"github.com/maestro-es/maestro/tests/faults/parcel"
)

// checkLinear: for each aggregate there is an order of all operations that the aggregate's own code
// explains. In this order each operation lies between its call and its answer. A command without an
// answer counts at the place of its event in the log.
func (c *checker) checkLinear() {
	happened := map[store.CommandKey]row{}
	for _, e := range c.log {
		happened[store.CommandKey{Key: e.key(), CommandID: e.CommandID}] = e
	}
	histories, forgotten := map[store.Key][]porcupine.Operation{}, map[store.Key]bool{}
	for _, o := range c.operations {
		forgotten[o.key] = forgotten[o.key] || o.invoked < c.forgotten
		if op, counts := linear(o, happened); counts {
			histories[o.key] = append(histories[o.key], op)
		}
	}
	for key, history := range histories {
		if forgotten[key] { // what the operation was told before is not the state that the aggregate goes on from
			continue
		}
		switch porcupine.CheckOperationsTimeout(c.modelOf(key), history, 20*time.Second) {
		case porcupine.Ok:
		case porcupine.Illegal:
			c.violatedf(inOrder, "%v: no order explains the answers to %d operations", key, len(history))
		case porcupine.Unknown:
			c.violatedf(inOrder, "%v: it took too long to find an order for %d operations", key, len(history))
		}
	}
}

// result is the result of an operation, as far as it is known.
type result struct {
	sequence int64
	status   store.Status // "" for a read
	code     string
	state    json.RawMessage // nil if nobody was told
}

// linear converts an operation for the model. An operation without an answer and without an event
// has changed nothing.
func linear(o *operation, happened map[store.CommandKey]row) (op porcupine.Operation, counts bool) {
	op = porcupine.Operation{Input: o, Call: int64(o.invoked), Return: int64(o.returned)}
	switch {
	case o.how == byRead:
		op.Output = result{sequence: o.state.Sequence, state: o.state.State}
		return op, o.returned > 0
	case len(o.outcomes) > 0:
		a := o.outcomes[0]
		r := result{sequence: a.Sequence, status: a.Status, state: a.State}
		if a.Error != nil {
			r.code = a.Error.Code
		}
		op.Output = r
		return op, true
	}
	e, did := happened[store.CommandKey{Key: o.key, CommandID: o.command.ID}]
	op.Return = math.MaxInt64
	op.Output = result{sequence: e.Sequence, status: store.Committed}
	return op, did
}

// modelOf returns the aggregate's own code as a sequential specification.
func (c *checker) modelOf(key store.Key) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return definitions[key.Type].New(key.ID) },
		Step: func(state, input, output any) (bool, any) {
			return c.step(state.(aggregate.Instance), input.(*operation), output.(result))
		},
		Equal: func(a, b any) bool {
			x, y := a.(aggregate.Instance), b.(aggregate.Instance)
			if x.Sequence() != y.Sequence() {
				return false
			}
			s, _ := x.State()
			t, _ := y.State()
			return string(s) == string(t)
		},
	}
}

func (c *checker) step(now aggregate.Instance, o *operation, r result) (bool, aggregate.Instance) {
	next := now.Clone()
	body, _ := o.command.Data.(json.RawMessage)
	mood := moodOf(body)
	if r.code == tooLarge {
		return r.status == store.Failed && c.decidesTooMuch(next, o), now
	}
	if mood.Refuses() && (r.code != projectionFailed || r.status != store.Failed) {
		return false, now
	}
	if o.how != byRead && r.code != nameTaken && !mood.Refuses() { // the aggregate cannot know what a read model refuses
		_, err := next.Execute(o.command.Name, body, aggregate.Metadata{ID: o.command.ID})
		var rejection *aggregate.Rejection
		switch {
		case err == nil:
			if r.status != store.Committed {
				return false, now
			}
		case errors.As(err, &rejection):
			if r.status != store.Rejected || r.code != rejection.Code {
				return false, now
			}
		default:
			return false, now
		}
	}
	if next.Sequence() != r.sequence {
		return false, now
	}
	if r.state != nil {
		if state, _ := next.State(); !sameJSON(state, r.state) {
			return false, now
		}
	}
	return true, next
}

// Codes of what projections refuse.
const (
	nameTaken        = "name_taken" // by counter_names
	projectionFailed = "projection_failed"
)

// tooLarge is the code of a command whose event does not fit into a message.
const tooLarge = "too_large"

// decidesTooMuch tells whether an event of the command was larger than nats-servers allowed at some
// time.
func (c *checker) decidesTooMuch(at aggregate.Instance, o *operation) bool {
	body, _ := o.command.Data.(json.RawMessage)
	events, err := at.Execute(o.command.Name, body, aggregate.Metadata{ID: o.command.ID})
	return err == nil && slices.ContainsFunc(events, func(e aggregate.Decided) bool { return c.tooLarge(len(e.Body)) })
}

// moodOf returns the mood of a command for a parcel.
func moodOf(body []byte) parcel.Mood {
	var c parcel.Pack
	_ = json.Unmarshal(body, &c) // other commands have no mood
	return c.Mood
}
