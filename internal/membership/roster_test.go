package membership_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/maestro-es/maestro/internal/localnats"
	"github.com/maestro-es/maestro/internal/membership"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const partitions = 8

// worker is a member with its own connection, like a process.
type worker struct {
	*membership.Roster
	nc   *nats.Conn
	stop func()
}

func join(t *testing.T, server *localnats.Server, id string) *worker {
	t.Helper()
	nc := server.Connect(t)
	w := &worker{nc: nc, Roster: membership.New(nc, "test", partitions, id, "node "+id, slog.New(slog.DiscardHandler))}
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	w.stop = func() { cancel(); group.Wait() }
	t.Cleanup(w.stop)
	require.NoError(t, w.Join(ctx, &group))
	w.Activate()
	return w
}

// sees waits until a worker sees just these members, with their states and owned partitions.
func sees(t *testing.T, w *worker, want ...string) {
	t.Helper()
	var got map[string]bool
	require.Eventually(t, func() bool {
		got = map[string]bool{}
		for _, m := range w.Members() {
			got[fmt.Sprintf("%s %s %d", m.ID, m.State, len(m.Owned))] = true
		}
		for _, one := range want {
			if !got[one] {
				return false
			}
		}
		return len(got) == len(want)
	}, 10*time.Second, time.Millisecond, "want %v, see %v", want, got)
}

func TestWorkersHearOfEachOther(t *testing.T) {
	server := localnats.ForTest(t)
	a := join(t, server, "a")
	a.Claim(3, 1)
	b := join(t, server, "b")
	require.Equal(t, "a", b.Owner(3), "a newcomer knows who owns what when it has joined")
	sees(t, a, "a active 1", "b active 0")

	b.Claim(3, 2)
	require.Eventually(t, func() bool { return a.Owner(3) == "b" }, 5*time.Second, time.Millisecond)
	a.Release(3)
	b.Release(3)
	require.Eventually(t, func() bool { return a.Owner(3) == "" }, 5*time.Second, time.Millisecond)

	b.GiveUp()
	sees(t, a, "a active 0", "b unable 0")
	b.Recover()
	b.Leave()
	sees(t, a, "a active 0", "b leaving 0")
	b.Recover()
	b.GiveUp()
	sees(t, b, "a active 0", "b leaving 0") // leaving is for good

	b.stop()
	sees(t, a, "a active 0")
}

func TestANewcomerIsKnownBeforeItTakesAnything(t *testing.T) {
	server := localnats.ForTest(t)
	a := join(t, server, "a")
	require.NoError(t, a.nc.Publish("test.worker.beat", []byte(`{"id":"b","node":"b","state":"joining","owned":{}}`)))
	sees(t, a, "a active 0", "b joining 0")
	assigned := membership.Assign(partitions, a.Members())
	require.Contains(t, assigned, "a")
	require.Contains(t, assigned, "b")
}

// A thawed worker hears all at once that another worker took its partition and gave it away again.
func TestAnOldClaimDoesNotComeBack(t *testing.T) {
	server := localnats.ForTest(t)
	a, b := join(t, server, "a"), join(t, server, "b")
	a.Claim(3, 1)
	require.Eventually(t, func() bool { return b.Owner(3) == "a" }, 5*time.Second, time.Millisecond)
	b.Claim(3, 2)
	b.Release(3)
	for _, w := range []*worker{a, b} {
		require.Eventually(t, func() bool { return w.Owner(3) == "" }, 5*time.Second, time.Millisecond)
	}
	a.Claim(3, 3)
	require.Eventually(t, func() bool { return b.Owner(3) == "a" }, 5*time.Second, time.Millisecond)
}

func TestAKilledWorkerIsGone(t *testing.T) {
	server := localnats.ForTest(t)
	a, b := join(t, server, "a"), join(t, server, "b")
	b.Claim(1, 1)
	sees(t, a, "a active 0", "b active 1")
	b.nc.Close() // the server sees the same when a process is killed
	sees(t, a, "a active 0")
	require.Empty(t, a.Owner(1))
}

func TestASuspectIsAskedAtOnce(t *testing.T) {
	server := localnats.ForTest(t)
	a, b := join(t, server, "a"), join(t, server, "b")
	sees(t, a, "a active 0", "b active 0")
	a.Suspect("b")
	a.Suspect("unknown")
	sees(t, a, "a active 0", "b active 0")
	b.nc.Close()
	a.Suspect("b")
	sees(t, a, "a active 0")
}

func TestASilentWorkerIsGoneAndComesBack(t *testing.T) {
	server := localnats.ForTest(t)
	a := join(t, server, "a")
	frozen := server.Connect(t)
	_, err := frozen.SubscribeSync("test.worker.b.ping") // it exists but does not answer
	require.NoError(t, err)
	beat := []byte(`{"id":"b","node":"b","state":"active","owned":{"2":7}}`)
	require.NoError(t, frozen.Publish("test.worker.beat", beat))
	sees(t, a, "a active 0", "b active 1")
	sees(t, a, "a active 0")
	require.NoError(t, frozen.Publish("test.worker.beat", beat))
	sees(t, a, "a active 0", "b active 1")
}

func TestARestartOfTheServerKillsNobody(t *testing.T) {
	server := localnats.ForTest(t)
	a, b := join(t, server, "a"), join(t, server, "b")
	a.Claim(0, 1)
	b.Claim(1, 1)
	sees(t, a, "a active 1", "b active 1")
	gone := make(chan struct{})
	watching, stop := context.WithCancel(t.Context())
	go func() {
		defer close(gone)
		for watching.Err() == nil {
			if len(a.Members()) != 2 {
				t.Error("a forgot b while the server was away")
				return
			}
			<-time.After(time.Millisecond)
		}
	}()
	require.NoError(t, server.Restart())
	require.Eventually(t, func() bool { return a.nc.IsConnected() && b.nc.IsConnected() }, 20*time.Second, time.Millisecond)
	sees(t, a, "a active 1", "b active 1")
	stop()
	<-gone
}

func TestNoiseIsNoMember(t *testing.T) {
	server := localnats.ForTest(t)
	a := join(t, server, "a")
	for _, noise := range []string{"", "{", "{}", `{"id":""}`, `{"id":"a","state":"gone"}`, `[1]`} {
		require.NoError(t, a.nc.Publish("test.worker.beat", []byte(noise)))
	}
	b := join(t, server, "b")
	sees(t, a, "a active 0", "b active 0")
	sees(t, b, "a active 0", "b active 0")
}
