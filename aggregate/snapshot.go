package aggregate

import (
	"encoding/json"
	"fmt"
)

// Snapshot is a stored state that replaces the replay of the events up to its sequence.
type Snapshot struct {
	// Sequence is the sequence of the last event in the state.
	Sequence int64
	// Version is the version of the form of the state. A snapshot is used only if its version is that
	// of the definition.
	Version int
	// Body is the JSON of the prepared state.
	Body json.RawMessage
}

type snapshotCodec[S any] struct {
	version int
	prepare func(S) any
	use     func([]byte) (S, error)
}

func defaultSnapshots[S any]() snapshotCodec[S] {
	return snapshotsOf(1, func(s S) S { return s }, func(s S) S { return s })
}

func snapshotsOf[S, D any](version int, prepare func(S) D, use func(D) S) snapshotCodec[S] {
	return snapshotCodec[S]{
		version: version,
		prepare: func(s S) any { return prepare(s) },
		use: func(body []byte) (s S, err error) {
			var stored D
			if err := json.Unmarshal(body, &stored); err != nil {
				return s, err
			}
			return use(stored), nil
		},
	}
}

// Snapshots sets how states are stored. prepare turns a state into the value whose JSON is kept,
// and use turns that value back. Raise the version, which counts from 1, whenever the form or the
// meaning of the state changes: snapshots of another version are then ignored and replaced. The
// default is version 1 of the JSON of the state itself.
func Snapshots[S, D any](version int, prepare func(S) D, use func(D) S) Option[S] {
	return func(d *Definition[S]) {
		if version < 1 {
			d.check(fmt.Errorf("snapshot version %d: versions begin at 1", version))
		}
		d.snapshots = snapshotsOf(version, prepare, use)
	}
}

// SnapshotEvery asks for a snapshot whenever another n events of an aggregate have been committed.
// The default, 0, takes snapshots only on request.
func SnapshotEvery[S any](n int64) Option[S] {
	return func(d *Definition[S]) {
		if n < 0 {
			d.check(fmt.Errorf("snapshot every %d events: the number must not be negative", n))
		}
		d.snapshotEvery = n
	}
}

// SnapshotDue tells whether the policy asks for a snapshot when the sequence moves from one value
// to another.
func (d *Definition[S]) SnapshotDue(from, to int64) bool {
	return d.snapshotEvery > 0 && to/d.snapshotEvery > from/d.snapshotEvery
}
