package ownership

import (
	"context"
	"log/slog"
	"time"

	"github.com/maestro-es/maestro/store"
)

// A database may lack what it had: an older backup was restored, or a failover went to a server
// that had not got the last commits. The log of a partition then ends before a position that this
// worker has seen, or its epoch is one that somebody had before.

// see remembers how far a partition's log has come.
func (o *Ownership) see(partition int, position int64) {
	for seen := &o.seen[partition]; ; {
		if furthest := seen.Load(); position <= furthest || seen.CompareAndSwap(furthest, position) {
			return
		}
	}
}

// seeLanes remembers how far the lanes have come.
func (o *Ownership) seeLanes() {
	for p := range o.Lanes {
		if l := o.Lanes[p].Load(); l != nil {
			o.see(p, l.Stats().Position)
		}
	}
}

// goneBack counts how often in a row the log of a partition was found to end before what was seen
// earlier. A single look may have been at another server.
type goneBack map[int]int

// enoughLooks have a partition given up and acquired anew, which is a write and so proves it.
const enoughLooks = 2

// compare holds rows that were read just now against what was seen before.
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
			default: // it is full of such
			}
		}
	}
}

// acquireAbove acquires a partition with an epoch that nobody has had: in a database that has gone
// back, epochs come again, and a former owner may still act on its own. It compares the row with
// what was seen before, and tells.
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
		return at, err // what is seen is noted when the tenure ends, and twice a second
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
