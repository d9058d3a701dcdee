package lane

import (
	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/store"
)

// outcomeOf returns a committed outcome with the sequence of the aggregate at (0 if at is nil) and
// the position at the end of the commit so far.
func (a *attempt) outcomeOf(c *Command, at aggregate.Instance) store.Outcome {
	o := store.Outcome{Status: store.Committed, Aggregate: c.Key.Type, ID: c.Key.ID, CommandID: c.ID,
		Partition: a.commit.Partition, Position: a.commit.Position + int64(len(a.commit.Events))}
	if at != nil {
		o.Sequence = at.Sequence()
	}
	return o
}

// refused returns the result of a command that was refused outside of an attempt.
func (l *Lane) refused(c *Command, r *Refusal) Result {
	return Result{Err: r.cause(), Outcome: store.Outcome{Status: r.Status, Aggregate: c.Key.Type, ID: c.Key.ID, CommandID: c.ID,
		Partition: l.partition, Error: r.error()}}
}

// look runs a read on the aggregate as the tasks before leave it.
func (a *attempt) look(i int, r *Read) {
	if a.readErrors == nil {
		a.readErrors = make([]error, len(a.tasks))
	}
	a.current = a.current || r.Current
	instance, refusal := a.instance(r.Key)
	switch {
	case r.failed != nil:
		a.readErrors[i] = r.failed
		return
	case refusal != nil:
		a.readErrors[i] = refusal.error()
		return
	}
	a.readErrors[i] = r.Look(instance)
}

// writes tells whether there is anything to commit.
func (a *attempt) writes() bool {
	c := a.commit
	return len(c.Events)+len(c.Receipts)+len(c.DeadLetters) > 0 || c.Cursor != a.lane.at.Cursor
}
