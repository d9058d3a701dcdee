package membership

import (
	"cmp"
	"hash/fnv"
	"slices"
	"strconv"
)

// State says whether a member can be given partitions.
type State string

// The states of a member.
const (
	// Joining members have a share that they cannot take yet. Its present owners keep it until the
	// member is active.
	Joining State = "joining"
	// Active members share the partitions.
	Active State = "active"
	// Leaving members hand over their partitions.
	Leaving State = "leaving"
	// Unable members have lost the store, so others take their partitions.
	Unable State = "unable"
	// gone is a member's last word.
	gone State = "gone"
)

// Member is a worker as the others see it.
type Member struct {
	// ID is unique for each process; Node is its name for people.
	ID    string `json:"id"`
	Node  string `json:"node"`
	State State  `json:"state"`
	// Owned has the epoch of each partition that the member owns.
	Owned map[int]int64 `json:"owned"`
}

// Owners returns the owner of each partition: the member that claims it with the highest epoch, or
// "" if nobody claims it.
func Owners(partitions int, members []Member) []string {
	owners, epochs := make([]string, partitions), make([]int64, partitions)
	for _, m := range members {
		for p, epoch := range m.Owned {
			if p >= 0 && p < partitions && (owners[p] == "" || epoch > epochs[p]) {
				owners[p], epochs[p] = m.ID, epoch
			}
		}
	}
	return owners
}

// Assign returns the member that is to own each partition. Loads differ by at most one, and as few
// partitions as possible change hands: each active member keeps its partitions up to its quota.
// Partitions above a quota or without an active owner go to members below their quota, by
// rendezvous hashing. Joining members count as active. Without an active member, the owners stay as
// they are.
func Assign(partitions int, members []Member) []string {
	owners := Owners(partitions, members)
	shares := sharesOf(members)
	if len(shares) == 0 {
		return owners
	}
	var free []int
	for p, owner := range owners {
		if s := shares.of(owner); s != nil {
			s.owned = append(s.owned, p)
		} else {
			free = append(free, p)
		}
	}
	shares.setQuotas(partitions)
	for _, s := range shares {
		free = append(free, s.shed()...)
	}
	slices.Sort(free)
	for _, p := range free {
		owners[p] = shares.take(p)
	}
	return owners
}

// share is the part of an active member.
type share struct {
	id    string
	owned []int
	quota int
}

type shares []*share

// sharesOf returns the members that are active, or about to be, in the order of their ids.
func sharesOf(members []Member) (all shares) {
	for _, m := range members {
		if m.State == Active || m.State == Joining {
			all = append(all, &share{id: m.ID})
		}
	}
	slices.SortFunc(all, func(a, b *share) int { return cmp.Compare(a.id, b.id) })
	return all
}

func (all shares) of(id string) *share {
	i, found := slices.BinarySearchFunc(all, id, func(s *share, id string) int { return cmp.Compare(s.id, id) })
	if !found {
		return nil
	}
	return all[i]
}

// setQuotas divides the partitions evenly. The remainder goes to the members that own most, because
// then the fewest partitions move.
func (all shares) setQuotas(partitions int) {
	byLoad := slices.Clone(all)
	slices.SortStableFunc(byLoad, func(a, b *share) int { return cmp.Compare(len(b.owned), len(a.owned)) })
	for i, s := range byLoad {
		s.quota = partitions / len(all)
		if i < partitions%len(all) {
			s.quota++
		}
	}
}

// shed removes and returns the partitions above the quota: the ones for which the member has the
// lowest weight.
func (s *share) shed() []int {
	if len(s.owned) <= s.quota {
		return nil
	}
	slices.SortFunc(s.owned, func(a, b int) int { return cmp.Compare(weight(b, s.id), weight(a, s.id)) })
	over := s.owned[s.quota:]
	s.owned = s.owned[:s.quota]
	return over
}

// take gives a partition to the member with the highest weight among those below their quota.
func (all shares) take(partition int) string {
	var best *share
	for _, s := range all {
		if len(s.owned) < s.quota && (best == nil || weight(partition, s.id) > weight(partition, best.id)) {
			best = s
		}
	}
	best.owned = append(best.owned, partition)
	return best.id
}

// weight is the rendezvous hash of a partition and a member.
func weight(partition int, id string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(id))
	_, _ = h.Write([]byte(strconv.Itoa(partition)))
	x := h.Sum64() // FNV's last bytes hardly reach its high bits: mix them (splitmix64's finaliser)
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
