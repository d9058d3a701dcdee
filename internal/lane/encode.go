package lane

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/store"
)

// encode runs code of the user's that writes a state or a snapshot. The code has a goroutine of its
// own, because it may end that goroutine, and may never come back. Either is an error here. Code
// that does not come back in time is left behind: it has the aggregate to itself, because a lane
// never changes an instance that it has shown.
func encode[T any](what string, key store.Key, patience time.Duration, code func() (T, error)) (value T, err error) {
	during := what + " of " + key.Type + " " + key.ID
	type made struct {
		value T
		err   error
	}
	ended := make(chan made, 1)
	go func() {
		defer close(ended)
		value, err := code()
		ended <- made{value, err}
	}()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case m, returned := <-ended:
		if !returned {
			return value, &aggregate.PanicError{During: during, Value: exitedItself}
		}
		return m.value, m.err
	case <-timer.C:
		return value, &silentError{during, patience}
	}
}

// silentError says that code of the user's has not come back.
type silentError struct {
	during string
	after  time.Duration
}

func (e *silentError) Error() string {
	return fmt.Sprintf("%s: its encoding has not come back for %s: it must not wait for anything", e.during, e.after)
}

// StateOf is the JSON of an aggregate's state, or an error, whatever the code that writes it does.
func (c *Config) StateOf(key store.Key, i aggregate.Instance) (json.RawMessage, error) {
	return encode("state", key, c.Budgets.withDefaults().Silence, i.State)
}

// SnapshotOf is an aggregate's snapshot, or an error, whatever the code that writes it does.
func (c *Config) SnapshotOf(key store.Key, i aggregate.Instance) (store.Snapshot, error) {
	s, err := encode("snapshot", key, c.Budgets.withDefaults().Silence, i.Snapshot)
	return store.Snapshot{Aggregate: key, Snapshot: s}, err
}
