package membership

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// settleAll gives every member its assigned partitions, as the workers do, and returns how many
// partitions moved.
func settleAll(partitions int, members []Member, epoch int64) (moved int) {
	owners, assigned := Owners(partitions, members), Assign(partitions, members)
	for p, id := range assigned {
		if id == owners[p] {
			continue
		}
		if owners[p] != "" {
			moved++
		}
		for i := range members {
			delete(members[i].Owned, p)
			if members[i].ID == id {
				members[i].Owned[p] = epoch
			}
		}
	}
	return moved
}

func workers(n int) []Member {
	members := make([]Member, n)
	for i := range members {
		members[i] = Member{ID: fmt.Sprintf("w%d", i), State: Active, Owned: map[int]int64{}}
	}
	return members
}

func loads(members []Member) (least, most int) {
	var all []int
	for _, m := range members {
		if m.State == Active {
			all = append(all, len(m.Owned))
		}
	}
	return slices.Min(all), slices.Max(all)
}

func TestWorkersComeAndGoAndLoadsStayEven(t *testing.T) {
	const partitions = 64
	members := workers(1)
	settleAll(partitions, members, 1)
	require.Len(t, members[0].Owned, partitions)

	members = append(members, workers(4)[1:]...)
	settleAll(partitions, members, 2)
	least, most := loads(members)
	require.LessOrEqual(t, most-least, 1)

	members = append(members, workers(5)[4])
	require.LessOrEqual(t, settleAll(partitions, members, 3), 13, "from 4 to 5 workers")
	least, most = loads(members)
	require.LessOrEqual(t, most-least, 1)

	orphans := len(members[0].Owned) + len(members[1].Owned)
	members = members[2:]
	require.Zero(t, settleAll(partitions, members, 4), "the partitions of the living stay where they are")
	least, most = loads(members)
	require.LessOrEqual(t, most-least, 1)
	require.Positive(t, orphans)
}

func TestAssignmentIsEvenStickyAndTheSameForAll(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		partitions := rapid.IntRange(1, 100).Draw(t, "partitions")
		members := workers(rapid.IntRange(1, 9).Draw(t, "workers"))
		active := 0
		for i := range members {
			members[i].State = rapid.SampledFrom([]State{Active, Active, Active, Leaving, Unable}).Draw(t, "state")
			if members[i].State == Active {
				active++
			}
			for p := range partitions {
				if rapid.IntRange(0, 2).Draw(t, "owns") == 0 {
					members[i].Owned[p] = rapid.Int64Range(1, 5).Draw(t, "epoch")*10 + int64(i)
				}
			}
		}
		owners, assigned := Owners(partitions, members), Assign(partitions, members)
		shuffled := rapid.Permutation(members).Draw(t, "order")
		require.Equal(t, assigned, Assign(partitions, shuffled), "the order in which members are known must not matter")
		if active == 0 {
			require.Equal(t, owners, assigned, "without an active member everything stays")
			return
		}
		count, kept := map[string]int{}, map[string]int{}
		for p, id := range assigned {
			count[id]++
			if owners[p] == id {
				kept[id]++
			}
		}
		before := map[string]int{}
		for _, id := range owners {
			before[id]++
		}
		for _, m := range members {
			if m.State != Active {
				require.Zero(t, count[m.ID])
				continue
			}
			require.InDelta(t, float64(partitions)/float64(active), float64(count[m.ID]), 0.999, "an even share")
			require.GreaterOrEqual(t, kept[m.ID], min(before[m.ID], partitions/active), "nobody gives away what it may keep")
		}
	})
}

func TestTheHighestEpochOwns(t *testing.T) {
	members := workers(3)
	members[0].Owned[0], members[1].Owned[0], members[2].Owned[7] = 3, 4, 1
	require.Equal(t, []string{"w1", ""}, Owners(2, members))
}
