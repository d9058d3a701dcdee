package api

import (
	"context"

	"github.com/nats-io/nats.go/micro"

	"github.com/maestro-es/maestro/protocol"
	"github.com/maestro-es/maestro/store"
)

// snapshotted is the answer to a request for a snapshot.
type snapshotted struct {
	Aggregate string `json:"aggregate"`
	ID        string `json:"id"`
	// Sequence is the sequence of the last event in the snapshot. It is 0 if there is no event;
	// then no snapshot is stored.
	Sequence int64 `json:"sequence"`
}

// handleSnapshot stores a snapshot of an aggregate as it is in the log. Any worker may do that,
// because the state at a sequence does not depend on who owns the partition.
func (a *API) handleSnapshot(address string, r micro.Request) {
	typ, key, refused := a.parseTarget(address)
	if refused != nil {
		a.Answers.Error(r.Reply(), refused)
		return
	}
	reply := r.Reply()
	a.inBackground(reply, func(ctx context.Context) {
		i, err := a.Lane.Memory.Replay(ctx, a.Lane.Store, typ, a.partition(key), key.ID, 0)
		if err == nil && i.Sequence() > 0 {
			var s store.Snapshot
			if s, err = a.Lane.SnapshotOf(key, i); err == nil {
				err = a.Lane.Snapshots.Save(ctx, a.partition(key), s)
			}
		}
		if err == nil {
			err = a.Answers.Send(reply, snapshotted{Aggregate: key.Type, ID: key.ID, Sequence: i.Sequence()}, protocol.Committed, nil)
		}
		if err != nil {
			a.Answers.Error(reply, errorOf(err))
		}
	})
}
