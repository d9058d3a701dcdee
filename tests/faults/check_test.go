package faults

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/client"
	"github.com/maestro-es/maestro/examples/counter"
	"github.com/maestro-es/maestro/examples/declaration"
	"github.com/maestro-es/maestro/internal/wire"
	"github.com/maestro-es/maestro/store"
	"github.com/maestro-es/maestro/tests/faults/parcel"
)

// violation is a guarantee that was broken.
type violation struct {
	guarantee, what string
}

// The guarantees, with the numbers of docs/guarantees.md.
const (
	lastingAnswers = "1 an answered command is in Postgres"
	onceOnly       = "2 a command takes effect once"
	inOrder        = "3 an aggregate's commands are handled one after the other"
	gapless        = "4 sequences and positions are gapless"
	streamIsLog    = "5 the event stream equals the log"
	modelsAgree    = "6 read models agree with the log"
	exactlyOnce    = "7 a subscriber with a checkpoint acts exactly once"
	answersCome    = "every command is answered once the system is healthy"
	inTime         = "no command fails for a deadline that has not passed"
)

// checker compares the evidence with the guarantees and notes what it finds.
type checker struct {
	evidence
	operations []*operation
	partitions int
	found      []violation
}

// check returns the violations that it finds, only a few of each kind.
func check(e evidence, operations []*operation, partitions int) []violation {
	c := &checker{evidence: e, operations: operations, partitions: partitions}
	if e.stuck != nil {
		c.violatedf(answersCome, "%s", e.stuck)
	}
	c.checkGapless()
	c.checkAnswers()
	c.checkEffects()
	c.checkOrder()
	c.checkDeadlines()
	c.checkStream()
	c.checkModels()
	c.checkSubscriber()
	c.checkLinear()
	return c.found
}

func (c *checker) violatedf(guarantee, format string, args ...any) {
	const most = 5
	n := 0
	for _, v := range c.found {
		if v.guarantee == guarantee {
			n++
		}
	}
	if n < most {
		c.found = append(c.found, violation{guarantee, fmt.Sprintf(format, args...)})
	}
}

func (c *checker) checkGapless() {
	positions, sequences, times, falls := map[int]int64{}, map[store.Key]int64{}, map[int]time.Time{}, map[int]int{}
	for _, e := range c.log {
		positions[e.Partition]++
		sequences[e.key()]++
		if e.Position != positions[e.Partition] {
			c.violatedf(gapless, "partition %d: position %d follows %d", e.Partition, e.Position, positions[e.Partition]-1)
			positions[e.Partition] = e.Position
		}
		if e.Sequence != sequences[e.key()] {
			c.violatedf(gapless, "%v: sequence %d follows %d in the order of positions", e.key(), e.Sequence, sequences[e.key()]-1)
			sequences[e.key()] = e.Sequence
		}
		if e.RecordedAt.Before(times[e.Partition]) {
			if falls[e.Partition]++; falls[e.Partition] > c.setBack { // a later owner sees each set-back once
				c.violatedf(inOrder, "partition %d: the time falls at position %d", e.Partition, e.Position)
			}
		}
		times[e.Partition] = e.RecordedAt
		if p := wire.Partition(e.AggregateType, e.AggregateID, c.partitions); p != e.Partition {
			c.violatedf(gapless, "%v is in partition %d, not in %d", e.key(), e.Partition, p)
		}
	}
	for p := range c.partitions {
		if c.ends[p] != positions[p] {
			c.violatedf(gapless, "the row of partition %d says position %d, the log ends at %d", p, c.ends[p], positions[p])
		}
	}
}

// checkAnswers: every answer that a client got is in Postgres, and no client got a different one.
func (c *checker) checkAnswers() {
	states := c.statesAt()
	for _, o := range c.operations {
		for _, mistake := range o.mistakes {
			c.violatedf(answersCome, "%s of %s: %s", o.command.Name, o.command.ID, mistake)
		}
		if o.how == byRead {
			if o.returned > 0 && o.invoked >= c.forgotten {
				c.checkState(states, o, "the state that was read", o.key, o.state.Sequence, o.state.State)
			}
			continue
		}
		r, kept := c.receipts[store.CommandKey{Key: o.key, CommandID: o.command.ID}]
		for _, a := range c.lasting(o) {
			told := receipt{a.Status, a.Sequence, a.Position, 0, cmp.Or(a.Error, &store.Error{}).Code}
			r.Events = 0
			if !kept || told != r {
				c.violatedf(lastingAnswers, "%s %s on %v was answered %+v, the receipt says %+v (there: %t)",
					o.command.Name, o.command.ID, o.key, told, r, kept)
			}
			if a.Status == store.Committed && o.command.Return == client.ReturnState {
				c.checkState(states, o, "the state in the outcome", o.key, a.Sequence, a.State)
			}
		}
	}
}

// lasting returns the outcomes that a client was told and that must hold for ever.
func (c *checker) lasting(o *operation) []store.Outcome {
	if o.invoked < c.forgotten {
		return nil
	}
	return o.outcomes
}

// moment is an aggregate at a sequence.
type moment struct {
	store.Key
	sequence int64
}

// statesAt folds the log and keeps every state on the way.
func (c *checker) statesAt() map[moment]json.RawMessage {
	states, now := map[moment]json.RawMessage{}, map[store.Key]aggregate.Instance{}
	for _, e := range c.log {
		if now[e.key()] == nil {
			now[e.key()] = definitions[e.AggregateType].New(e.AggregateID)
		}
		if err := now[e.key()].Apply(aggregate.Recorded{Sequence: e.Sequence, Type: e.Type, Version: e.Version, Body: e.Body}); err != nil {
			c.violatedf(gapless, "%v cannot be replayed: %s", e.key(), err)
			continue
		}
		states[moment{e.key(), e.Sequence}], _ = now[e.key()].State()
	}
	return states
}

func (c *checker) checkState(states map[moment]json.RawMessage, o *operation, what string, key store.Key, sequence int64, got json.RawMessage) {
	want, known := states[moment{key, sequence}]
	if sequence == 0 {
		want, _ = definitions[key.Type].New(key.ID).State()
		known = true
	}
	if !known || !sameJSON(want, got) {
		c.violatedf(lastingAnswers, "%s of %s (%v at %d) is %s, the log says %s", what, o.command.ID, key, sequence, got, want)
	}
}

var definitions = map[string]aggregate.Type{"counter": counter.Definition, "declaration": declaration.Definition, "parcel": parcel.Definition}

func sameJSON(a, b []byte) bool {
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
}

// checkEffects: a command id has one effect, and all that ask for its outcome get the same answer.
func (c *checker) checkEffects() {
	effects := map[store.CommandKey][]row{}
	for _, e := range c.log {
		key := store.CommandKey{Key: e.key(), CommandID: e.CommandID}
		effects[key] = append(effects[key], e)
	}
	for key, events := range effects {
		if len(events) > 1 { // no command of the examples leads to more than one event
			c.violatedf(onceOnly, "command %s on %v has %d events, at positions %v", key.CommandID, key.Key, len(events), positionsOf(events))
		}
		if r, kept := c.receipts[key]; !kept || r.Status != store.Committed || r.Events != len(events) {
			c.violatedf(onceOnly, "command %s on %v has %d events, its receipt says %+v (there: %t)", key.CommandID, key.Key, len(events), r, kept)
		}
	}
	for key, r := range c.receipts {
		if len(effects[key]) != r.Events {
			c.violatedf(lastingAnswers, "the receipt of %s on %v speaks of %d events, the log has %d", key.CommandID, key.Key, r.Events, len(effects[key]))
		}
	}
	for _, o := range c.operations {
		for _, a := range c.lasting(o) {
			first := o.outcomes[0]
			first.Duplicate, a.Duplicate = false, false
			if !sameOutcome(first, a) {
				c.violatedf(onceOnly, "command %s was answered %+v and then %+v", o.command.ID, first, a)
			}
		}
	}
}

func sameOutcome(a, b store.Outcome) bool {
	same := (len(a.State) == 0 && len(b.State) == 0) || sameJSON(a.State, b.State)
	a.State, b.State = nil, nil
	return same && reflect.DeepEqual(a, b)
}

func positionsOf(events []row) (positions []int64) {
	for _, e := range events {
		positions = append(positions, e.Position)
	}
	return positions
}

// checkOrder: commands that one client stored one after the other for one aggregate were handled in
// that order.
func (c *checker) checkOrder() {
	events := map[store.CommandKey]row{}
	for _, e := range c.log {
		events[store.CommandKey{Key: e.key(), CommandID: e.CommandID}] = e
	}
	last := map[int]*operation{}
	for _, o := range c.operations { // in the order in which the operations began
		e, did := events[store.CommandKey{Key: o.key, CommandID: o.command.ID}]
		if o.group == 0 || !did || o.invoked < c.forgotten {
			continue
		}
		if before := last[o.group]; before != nil {
			if b := events[store.CommandKey{Key: before.key, CommandID: before.command.ID}]; b.Sequence > e.Sequence {
				c.violatedf(inOrder, "%v: command %s was stored after %s and handled before it, at position %d of partition %d at %s and not after %d at %s",
					o.key, o.command.ID, before.command.ID, e.Position, e.Partition, clock(e.RecordedAt), b.Position, clock(b.RecordedAt))
			}
		}
		last[o.group] = o
	}
}

// clock formats a time as the workers' logs do.
func clock(t time.Time) string { return t.UTC().Format("15:04:05.000000") }

func (c *checker) checkModels() {
	statuses, names, parcels, shared := map[string]string{}, map[string]string{}, map[string]string{}, 0
	now := map[store.Key]aggregate.Instance{}
	for _, e := range c.log {
		if now[e.key()] == nil {
			now[e.key()] = definitions[e.AggregateType].New(e.AggregateID)
		}
		_ = now[e.key()].Apply(aggregate.Recorded{Sequence: e.Sequence, Type: e.Type, Version: e.Version, Body: e.Body}) // reported before
		if packed := (parcel.Packed{}); json.Unmarshal(e.Body, &packed) == nil && packed.Mood == parcel.Shared {
			shared++
		}
	}
	for key, i := range now {
		switch root := i.Root().(type) {
		case aggregate.Root[declaration.Declaration]:
			statuses[key.ID] = fmt.Sprintf("%s %d", root.State.Status, root.State.AmountCents)
		case aggregate.Root[parcel.Parcel]:
			parcels[key.ID] = strconv.Itoa(root.State.Bytes)
		case aggregate.Root[counter.Counter]:
			if root.State.Name != "" {
				names[root.State.Name] = key.ID
			}
		}
	}
	c.same("declaration_status", statuses, c.statuses)
	c.same("counter_names", names, c.names)
	c.same("parcels", parcels, c.parcels)
	c.same("parcels_shared", map[string]string{"n": strconv.Itoa(shared)}, c.shared)
}

func (c *checker) same(table string, want, got map[string]string) {
	keys := slices.Sorted(maps.Keys(want))
	for key := range got {
		if _, known := want[key]; !known {
			keys = append(keys, key)
		}
	}
	for _, key := range keys {
		if want[key] != got[key] {
			c.violatedf(modelsAgree, "%s has %q for %s, the log says %q", table, got[key], key, want[key])
		}
	}
}
