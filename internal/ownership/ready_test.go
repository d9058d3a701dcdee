package ownership

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/store"
)

// A single lane that stands still while others move makes the worker unready after 30 s. The error
// says where the lane stands, and a metric counts it.
func TestALaneThatStandsStillIsToldOf(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	s := store.NewMemory(4)
	o := b.owner(s)
	b.run(o)
	require.Eventually(t, func() bool { return o.Ready() == nil && o.Owned() == 4 }, 20*time.Second, time.Millisecond)
	release := sync.OnceFunc(func() { close(letGo) })
	t.Cleanup(release) // before the lanes end
	hangs := b.submit(o, 2, inPartition(2), "hang")
	require.Eventually(t, func() bool {
		stats := o.Lanes[2].Load().Stats()
		return !stats.Stalled.IsZero() && stats.Doing.Command == "hang"
	}, 20*time.Second, time.Millisecond)
	now := time.Now()
	require.Equal(t, store.Committed, (<-b.submit(o, 1, inPartition(1), "put")).Outcome.Status)
	require.NoError(t, o.committing(now.Add(forLong-2*time.Second)))
	require.Zero(t, o.standing(now.Add(forLong-2*time.Second)))
	late := now.Add(forLong + time.Second)
	err := o.committing(late)
	require.ErrorContains(t, err, "partition 2 stands still for 3")
	require.ErrorContains(t, err, fmt.Sprintf("deciding hang of box %s", inPartition(2)))
	require.EqualValues(t, 1, o.standing(late))
	release()
	require.Equal(t, store.Committed, (<-hangs).Outcome.Status)
	require.Eventually(t, func() bool { return o.committing(late) == nil && o.standing(late) == 0 }, 20*time.Second, time.Millisecond)
}

// With fewer partitions than workers, one worker has none. It is ready, because it lacks nothing.
func TestAWorkerWithoutPartitionsIsReady(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	s := store.NewMemory(2)
	var all []*Ownership
	for n := range 3 {
		o := b.owner(s, func(c *Config) { c.Worker = fmt.Sprint(b.Name(), n) })
		all = append(all, o)
		b.run(o)
	}
	require.Eventually(t, func() bool {
		none, owned := 0, 0
		for _, o := range all {
			if o.Ready() != nil {
				return false
			}
			if owned += o.Owned(); o.Owned() == 0 {
				none++
			}
		}
		return none == 1 && owned == 2
	}, 20*time.Second, time.Millisecond)
}

// The log gives the real reason for the end of the work on a partition. Only a fence means that
// there is another owner.
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
		o := b.owner(s, func(c *Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
		steward := newSteward(o, nobody{}, nil)
		steward.left(&holding{err: c.err})
		if c.says == "" {
			require.Empty(t, log.String(), "%v", c.err)
			continue
		}
		require.Contains(t, log.String(), c.says, "%v", c.err)
		require.Contains(t, log.String(), c.err.Error())
	}
}
