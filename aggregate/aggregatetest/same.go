package aggregatetest

import (
	"fmt"

	"github.com/maestro-es/maestro/aggregate"
)

// changes returns an error if a command, or one of its events, changes the state that it is given.
func changes(live aggregate.Instance, c call) error {
	before, _ := live.State()
	_, _ = execute(live.Clone(), c)
	after, _ := live.State()
	if string(before) != string(after) {
		return fmt.Errorf("command %q or one of its events changes the state it is given: work on copies (slices.Clone, maps.Clone)\n%s",
			c.name, difference(string(before), string(after)))
	}
	return nil
}

// comesBack returns an error unless the aggregate is the same after a snapshot, and after a
// replay.
func comesBack(d aggregate.Type, live aggregate.Instance, events []aggregate.Recorded) error {
	if err := restores(d, live); err != nil {
		return err
	}
	replayed := d.New(live.ID())
	if err := replayed.Apply(events...); err != nil {
		return err
	}
	if diff := difference(live.Root(), replayed.Root()); diff != "" {
		return fmt.Errorf("the state is another after a replay (-before +after):\n%s", diff)
	}
	return nil
}

// restores returns an error unless the aggregate is the same after a snapshot.
func restores(d aggregate.Type, live aggregate.Instance) error {
	snapshot, err := live.Snapshot()
	if err != nil {
		return err
	}
	restored := d.New(live.ID())
	if err := restored.Restore(snapshot); err != nil {
		return err
	}
	if diff := difference(live.Root(), restored.Root()); diff != "" {
		return fmt.Errorf("the state is another after a snapshot, %s (-before +after):\n%s", snapshot.Body, diff)
	}
	return nil
}
