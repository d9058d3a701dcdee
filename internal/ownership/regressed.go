package ownership

import (
	"context"
	"log/slog"
	"time"

	"github.com/maestro-es/maestro/store"
)

// A database may have gone back: an older backup was restored, or a failover went to a server
// without the last commits. Then the log of a partition ends before a position that this worker has
// seen, or an epoch is given a second time.

// see remembers the furthest position of a partition's log.
func (o *Ownership) see(partition int, position int64) {
	for seen := &o.seen[partition]; ; {
		if furthest := seen.Load(); position <= furthest || seen.CompareAndSwap(furthest, position) {
			return
		}
	}
}

// seeLanes remembers the positions of the lanes.
func (o *Ownership) seeLanes() {
	for p := range o.Lanes {
		if l := o.Lanes[p].Load(); l != nil {
			o.see(p, l.Stats().Position)
		}
	}
}

// goneBack counts by partition how often in a row the log ended before the furthest seen position.
// One such look proves nothing, because it may have reached another server.
type goneBack map[int]int

// After enoughLooks such looks, the partition is given up and acquired again. Acquiring is a write,
// so it proves where the log ends.
const enoughLooks = 2

// compare compares the given rows, just read, with the positions seen before.
func (g goneBack) compare(o *Ownership, rows []store.Partition) {
	for _, row := range rows {
		if row.Position >= o.seen[row.Number].Load() || o.Lanes[row.Number].Load() == nil {
			delete(g, row.Number)
			continue
		}
		if g[row.Number]++; g[row.Number] == enoughLooks {
			delete(g, row.Number)
			select {
			case o.regressed <- row.Number:
			default: // the channel is full of such partitions already
			}
		}
	}
}

// acquireAbove acquires a partition with an epoch that nobody has had. In a database that has gone
// back, epochs repeat, and a former owner may still act under the same epoch. It also compares the
// row with the position seen before, and logs if the log has gone back.
func (s *steward) acquireAbove(ctx, asking context.Context, partition int) (at store.Partition, err error) {
	claimed, seen := s.Roster.Claimed(partition), s.seen[partition].Load()
	again := false
	err = s.Retry(ctx, "acquire a partition", nil, func() error {
		for at, err = s.acquireOnce(asking, partition); err == nil && at.Epoch <= claimed; {
			again = true
			at, err = s.acquireOnce(asking, partition)
		}
		return err
	})
	if err != nil || !again && at.Position >= seen {
		return at, err // the position is noted when the tenure ends, and twice a second
	}
	s.seen[partition].Store(at.Position)
	s.sayGoneBack("partition", partition, "position", at.Position, "had", seen, "epoch", at.Epoch, "claimed", claimed)
	return at, nil
}

func (s *steward) sayGoneBack(attributes ...any) {
	s.Logger.Log(context.Background(), s.regressions.Level(slog.LevelError), "the log has gone back: commits that were answered are gone. "+
		"Was an older backup restored, or did Postgres fail over to a server that lacked them? Commands go on where the log ends; "+
		"see \"When commits are lost\" in docs/operations.md", attributes...)
}

func (s *steward) acquireOnce(ctx context.Context, partition int) (store.Partition, error) {
	sent := time.Now()
	at, err := s.Store.Acquire(ctx, partition, s.Worker)
	if err == nil {
		s.Lane.Clock.Saw(at.Clock, sent)
	}
	return at, err
}
