package membership

import (
	"cmp"
	"hash/fnv"
	"slices"
	"strconv"
)

// State is what a member can be given.
type State string

// The states of a member.
const (
	// Joining members have a share that they cannot take yet: who owns it keeps it until they are active.
	Joining State = "joining"
	// Active members share the partitions.
	Active State = "active"
	// Leaving members hand over what they own.
	Leaving State = "leaving"
	// Unable members have lost the store: what they own is taken from them.
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
	// Owned are the epochs of the partitions that it owns.
	Owned map[int]int64 `json:"owned"`
}

// Owners tells for each partition which member owns it, the one with the highest epoch if several say so, and "" where nobody
// does.
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

// Assign tells for each partition which member is to own it. Loads differ by one at most, and no more partitions change hands
// than that takes: each active member keeps what it owns up to its quota, and what is over or has no active owner goes, by
// rendezvous hashing, to those below theirs. Those that join count as active. Without an active member everything stays as it is.
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

// share is an active member's part.
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

// setQuotas divides evenly; the remainder goes to those who own most, since they then give least away.
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

// shed gives up what is over the quota: the partitions that the member would get last.
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
