package consumer

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/store"
)

// Hang is a command whose Decide does not come back before it is let go.
type Hang struct{}

var letGo = make(chan struct{})

func (Hang) Decide(aggregate.Root[Box]) ([]aggregate.Event[Box], error) {
	<-letGo
	return nil, nil
}

var hanging = aggregate.Define("box", aggregate.Handles[Put]("put"), aggregate.Handles[Hang]("hang"), aggregate.Emits[WasPut]("was_put"))

// A single lane that stands still makes the worker unready after 30 s, says where it stands, and is
// counted. Others move.
func TestALaneThatStandsStillIsToldOf(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	s := store.NewMemory(4)
	c := b.newConsumer(s, s)
	c.Lane.Types = map[string]aggregate.Type{"box": hanging}
	b.start(c)
	release := sync.OnceFunc(func() { close(letGo) })
	t.Cleanup(release) // before the consumer is to end
	hangs := b.send(inPartition(2), "hang", `{}`)
	require.Eventually(t, func() bool {
		for p, tenure := range c.owning() {
			if p == 2 && !tenure.Lane.Stats().Stalled.IsZero() && tenure.Lane.Stats().Doing.Command == "hang" {
				return true
			}
		}
		return false
	}, 20*time.Second, time.Millisecond)
	now := time.Now()
	require.Equal(t, "committed", b.outcome(b.send(inPartition(1), "put", put("a"))).status())
	require.NoError(t, c.committing(now.Add(forLong-2*time.Second)))
	require.Zero(t, c.standing(now.Add(forLong-2*time.Second)))
	late := now.Add(forLong + time.Second)
	err := c.committing(late)
	require.ErrorContains(t, err, "partition 2 stands still for 3")
	require.ErrorContains(t, err, fmt.Sprintf("deciding hang of box %s", inPartition(2)))
	require.EqualValues(t, 1, c.standing(late))
	release()
	require.Equal(t, "committed", b.outcome(hangs).status())
	require.Eventually(t, func() bool { return c.committing(late) == nil && c.standing(late) == 0 }, 20*time.Second, time.Millisecond)
}

// With fewer partitions than workers, one has none. It is ready: there is nothing that it lacks.
func TestAWorkerWithoutPartitionsIsReady(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	s := store.NewMemory(2)
	var all []*Consumer
	for n := range 3 {
		c := b.newConsumer(s, s)
		c.Worker = fmt.Sprint(b.Name(), n)
		all = append(all, c)
		b.join(c)
	}
	require.Eventually(t, func() bool {
		none, owned := 0, int64(0)
		for _, c := range all {
			if c.Ready() != nil {
				return false
			}
			if owned += c.owned.Load(); c.Owned() == 0 {
				none++
			}
		}
		return none == 1 && owned == 2
	}, 20*time.Second, time.Millisecond)
}

// What ends the work on a partition is said as it is. Only a fence says that there is another
// owner.
func TestWhyTheWorkOnAPartitionEndsIsSaid(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	s := store.NewMemory(1)
	for _, c := range []struct {
		err  error
		says string
	}{
		{fmt.Errorf("partition 0: %w", store.ErrFenced), "a partition has another owner now"},
		{errors.New("the disk is full"), "the work on a partition has failed: it begins anew"},
		{fmt.Errorf("partition 0: %w", store.ErrMaintenance), "the work on a partition has failed: it begins anew"},
		{fmt.Errorf("partition 0: %w", store.ErrRegressed), "the log has gone back: commits that were answered are gone"},
		{nil, ""},
	} {
		var log bytes.Buffer
		consumer := b.newConsumer(s, s)
		consumer.Logger = slog.New(slog.NewTextHandler(&log, nil))
		steward := newSteward(consumer)
		steward.left(&holding{err: c.err})
		if c.says == "" {
			require.Empty(t, log.String(), "%v", c.err)
			continue
		}
		require.Contains(t, log.String(), c.says, "%v", c.err)
		require.Contains(t, log.String(), c.err.Error())
	}
}
