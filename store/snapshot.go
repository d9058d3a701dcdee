package store

import (
	"cmp"
	"slices"

	"github.com/maestro-es/maestro/aggregate"
)

// Snapshot is the snapshot of an aggregate. The store keeps one for each aggregate. A snapshot
// with a newer sequence or another version replaces it. A snapshot with an older sequence of the
// same version does not.
type Snapshot struct {
	Aggregate Key
	aggregate.Snapshot
}

// restore passes the snapshots of histories to their queries' Restore. It loads a history again,
// without a snapshot, if its snapshot cannot be used.
func restore(queries []Query, histories []History, load func([]Query) ([]History, error)) ([]History, error) {
	var again []Query
	var places []int
	for i, q := range queries {
		if s := histories[i].Snapshot; s != nil && q.Restore != nil && q.Restore(*s) != nil {
			q.SnapshotVersion = 0
			again, places = append(again, q), append(places, i)
		}
	}
	if len(again) == 0 {
		return histories, nil
	}
	whole, err := load(again)
	for i := range whole {
		histories[places[i]] = whole[i]
	}
	return histories, err
}

// newest returns the snapshot with the highest sequence of each aggregate, in the order of the
// aggregates. Because of the order, two callers that write at the same time cannot deadlock.
func newest(snapshots []Snapshot) []Snapshot {
	snapshots = slices.Clone(snapshots)
	slices.SortStableFunc(snapshots, func(a, b Snapshot) int {
		return cmp.Or(cmp.Compare(a.Aggregate.Type, b.Aggregate.Type), cmp.Compare(a.Aggregate.ID, b.Aggregate.ID),
			cmp.Compare(b.Sequence, a.Sequence))
	})
	return slices.CompactFunc(snapshots, func(a, b Snapshot) bool { return a.Aggregate == b.Aggregate })
}
