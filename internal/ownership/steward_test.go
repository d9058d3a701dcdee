package ownership

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/internal/membership"
	"github.com/maestro-es/maestro/store"
)

// A new worker announces itself before it can work. Until it can work, nobody gives up a partition
// for it, because that partition would have no owner.
func TestPartitionsWaitForTheNewcomerWhereTheyAre(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	s := store.NewMemory(4)
	o := b.owner(s)
	b.run(o)
	require.Eventually(t, func() bool { return o.Ready() == nil && o.Owned() == 4 }, 20*time.Second, time.Millisecond)
	tell := func(state membership.State) {
		t.Helper()
		beat, err := json.Marshal(membership.Member{ID: "newcomer", State: state, Owned: map[int]int64{}})
		require.NoError(t, err)
		require.NoError(t, b.nc.Publish(ns.Beat(), beat))
	}
	_, err := b.nc.Subscribe(ns.Worker("newcomer"), func(m *nats.Msg) { _ = m.Respond(nil) })
	require.NoError(t, err)
	tell(membership.Joining)
	require.Eventually(t, func() bool { return len(o.Roster.Members()) == 2 }, 20*time.Second, time.Millisecond)
	require.Never(t, func() bool { return o.Owned() < 4 }, 4*stewardEvery, time.Millisecond)
	tell(membership.Active)
	require.Eventually(t, func() bool { return o.Owned() == 2 }, 20*time.Second, time.Millisecond)
}

// unwanted is a store that ends a context while it acquires a partition.
type unwanted struct {
	*store.Memory
	end context.CancelFunc
}

func (s unwanted) Acquire(ctx context.Context, partition int, owner string) (store.Partition, error) {
	s.end()
	at, err := s.Memory.Acquire(ctx, partition, owner)
	if ctx.Err() != nil { // as if the answer did not come in time
		return store.Partition{}, ctx.Err()
	}
	return at, err
}

// Two workers want a partition. One gives up the attempt when it hears of the other, but by then it
// is the owner in the store. The other has lost the partition, and takes it again as soon as it
// hears who took it.
func TestWhoTakesAPartitionOwnsUpToIt(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	s := store.NewMemory(4)
	ctx, end := context.WithCancel(t.Context())
	hasty := newSteward(b.owner(unwanted{s, end}), nobody{}, nil)
	before, err := s.Acquire(t.Context(), 1, "the other")
	require.NoError(t, err)
	h := &holding{partition: 1}
	require.NoError(t, hasty.own(ctx, h))
	require.Equal(t, before.Epoch+1, h.epoch)
	require.Equal(t, h.epoch, hasty.Roster.Claimed(1))
	require.Empty(t, hasty.Roster.Owner(1), "it has given it up again")

	other := newSteward(b.owner(s), nobody{}, nil)
	require.True(t, other.mayTake(1))
	other.lost[1] = loss{time.Now(), before.Epoch}
	require.False(t, other.mayTake(1), "somebody has it who does not say so")
	other.Roster.Claim(1, h.epoch)
	require.True(t, other.mayTake(1))
	other.lost[1] = loss{at: time.Now()}
	require.False(t, other.mayTake(1), "it could not be acquired")
	other.lost[1] = loss{time.Now().Add(-2 * lostPause), h.epoch}
	require.True(t, other.mayTake(1))
}
