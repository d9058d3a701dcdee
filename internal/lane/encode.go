package lane

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/store"
)

// encode runs the user's code that encodes a state or a snapshot. The code runs in its own
// goroutine, because it may end that goroutine or never return. In both cases encode returns an
// error. Code that does not return in time is left running. That is safe because a lane never
// changes an instance that it has shown.
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

// silentError says that the user's code has not returned.
type silentError struct {
	during string
	after  time.Duration
}

func (e *silentError) Error() string {
	return fmt.Sprintf("%s: its encoding has not come back for %s: it must not wait for anything", e.during, e.after)
}

// StateOf returns the JSON of an aggregate's state. It returns an error if the user's encoder
// panics, ends its goroutine or does not return in time.
func (c *Config) StateOf(key store.Key, i aggregate.Instance) (json.RawMessage, error) {
	return encode("state", key, c.Budgets.withDefaults().Silence, i.State)
}

// SnapshotOf returns an aggregate's snapshot. It returns an error in the same cases as StateOf.
func (c *Config) SnapshotOf(key store.Key, i aggregate.Instance) (store.Snapshot, error) {
	s, err := encode("snapshot", key, c.Budgets.withDefaults().Silence, i.Snapshot)
	return store.Snapshot{Aggregate: key, Snapshot: s}, err
}
