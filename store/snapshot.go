package store

import (
	"cmp"
	"slices"

	"github.com/maestro-es/maestro/aggregate"
)

// Snapshot is the snapshot of an aggregate. One is kept for each aggregate: a newer sequence or another version
// replaces it, an older sequence of the same version does not.
type Snapshot struct {
	Aggregate Key
	aggregate.Snapshot
}

// restore hands out the snapshots of histories, and loads those whole whose snapshot cannot be used.
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

// newest are the snapshots with the highest sequence of each aggregate, in the order of the aggregates: two who write at the
// same time then do not wait for each other in a circle.
func newest(snapshots []Snapshot) []Snapshot {
	snapshots = slices.Clone(snapshots)
	slices.SortStableFunc(snapshots, func(a, b Snapshot) int {
		return cmp.Or(cmp.Compare(a.Aggregate.Type, b.Aggregate.Type), cmp.Compare(a.Aggregate.ID, b.Aggregate.ID),
			cmp.Compare(b.Sequence, a.Sequence))
	})
	return slices.CompactFunc(snapshots, func(a, b Snapshot) bool { return a.Aggregate == b.Aggregate })
}
