package storetest

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/store"
)

// Run tests a store. It calls open for each test. open must return a new and empty store of at
// least four partitions.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	for name, test := range map[string]func(*suite){
		"a new store is empty":                               emptyStore,
		"partitions outside the range are refused":           partitionRange,
		"acquire raises the epoch":                           acquireRaisesEpoch,
		"all rows are read in order":                         rows,
		"a commit reads back as it was":                      commitReadsBack,
		"a commit without events moves the cursor":           cursorAlone,
		"a commit on another history is refused":             anotherHistory,
		"a commit that leaves a gap in a history is refused": whole,
		"bodies read back byte for byte":                     bodies,
		"a former owner is fenced":                           fence,
		"a commit at another position changes nothing":       conflict,
		"a commit for another layout changes nothing":        layout,
		"a commit tells the store's clock":                   clock,
		"a time from the future does not stay":               future,
		"a commit with a gap is refused":                     gap,
		"a sequence that exists refuses the batch":           sequenceTwice,
		"a receipt that exists refuses the batch":            duplicate,
		"receipts are found by aggregate and id":             receipts,
		"old receipts can be pruned":                         prune,
		"receipts are pruned only where clocks agree":        pruneInDoubt,
		"receipts from the future are dated anew":            redate,
		"data that cannot be stored refuses the batch":       unstorable,
		"events are read above and up to a sequence":         bounds,
		"the log is read in position order":                  logOrder,
		"the sequences of a commit go on":                    sequencesGoOn,
		"what is read at a time ends by its bytes":           pagesOfBytes,
		"many aggregates are loaded at once":                 manyAggregates,
		"snapshots are replaced by newer and other versions": snapshotReplaced,
		"snapshots are read by version and sequence":         snapshotRead,
		"snapshots that cannot be stored are refused":        snapshotUnstorable,
		"snapshots of what the log does not have are left":   snapshotAhead,
		"snapshots that cannot be used are not":              snapshotUnusable,
		"what was stored cannot be changed from outside":     isolation,
		"each position has one winner":                       oneWinner,
		"a takeover ends the commits of the former owner":    takeover,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(&suite{T: t, store: open(t)})
		})
	}
}

// partition is the partition that most tests use. epochTime is a moment with microseconds.
const partition = 2

var epochTime = time.Date(2026, 2, 3, 4, 5, 6, 789012000, time.UTC)

type suite struct {
	*testing.T
	store store.Store
}

func (s *suite) ctx() context.Context { return s.Context() }

// at returns the current row of the partition.
func (s *suite) at(partition int) store.Partition {
	s.Helper()
	p, err := s.store.Partition(s.ctx(), partition)
	require.NoError(s, err)
	return s.timeless(p)
}

// timeless returns the row without the store's clock. It checks that the row had one.
func (s *suite) timeless(p store.Partition) store.Partition {
	s.Helper()
	require.WithinDuration(s, time.Now(), p.Clock, time.Minute)
	require.Equal(s, time.UTC, p.Clock.Location())
	p.Clock = time.Time{}
	return p
}

// next returns a commit that continues from the partition's place. It has an event for each key,
// with sequences that follow those in the log.
func (s *suite) next(keys ...store.Key) *store.Commit {
	s.Helper()
	p := s.at(partition)
	c := &store.Commit{Partition: partition, Epoch: p.Epoch, Position: p.Position, Time: p.Time, Cursor: p.Cursor, Published: p.Published}
	sequences := map[store.Key]int64{}
	for i, key := range keys {
		if _, known := sequences[key]; !known {
			sequences[key] = int64(len(s.history(store.Query{Key: key}).Events))
		}
		sequences[key]++
		c.Events = append(c.Events, event(key, sequences[key], p.Position+int64(i)+1))
	}
	return c
}

// event returns an event whose contents depend on its position.
func event(key store.Key, sequence, position int64) store.Event {
	return store.Event{
		Partition: partition, Position: position, Aggregate: key,
		Recorded: aggregate.Recorded{
			Sequence: sequence, Type: "incremented", Version: 1,
			Body: json.RawMessage(fmt.Sprintf(`{"by": %d}`, position)),
		},
		Metadata:   store.Metadata{CommandID: fmt.Sprint("command-", position)},
		RecordedAt: epochTime.Add(time.Duration(position) * time.Microsecond),
	}
}

func receipt(key store.Key, command string) store.Receipt {
	return store.Receipt{Aggregate: key, CommandID: command, Status: store.Committed, Sequence: 1, Position: 1, Events: 1, At: epochTime}
}

func counter(id string) store.Key { return store.Key{Type: "counter", ID: id} }

func (s *suite) commit(c *store.Commit) {
	s.Helper()
	require.NoError(s, s.store.Commit(s.ctx(), c))
}

func (s *suite) history(q store.Query) store.History {
	s.Helper()
	histories, err := s.store.Load(s.ctx(), partition, []store.Query{q})
	require.NoError(s, err)
	require.Len(s, histories, 1)
	return histories[0]
}

func (s *suite) log() []store.Event {
	s.Helper()
	events, err := s.store.Log(s.ctx(), partition, 0, math.MaxInt32)
	require.NoError(s, err)
	return events
}

// refused checks that a commit fails with an error and leaves nothing behind.
func (s *suite) refused(c *store.Commit, want error) {
	s.Helper()
	before, log := s.at(c.Partition), s.log()
	require.ErrorIs(s, s.store.Commit(s.ctx(), c), want)
	s.unchanged(c, before, log)
}

func (s *suite) unchanged(c *store.Commit, before store.Partition, log []store.Event) {
	s.Helper()
	require.Equal(s, before, s.at(c.Partition))
	require.Equal(s, log, s.log())
}

// sameEvents compares events that were read with those that were written.
func sameEvents(t *testing.T, want, got []store.Event) {
	t.Helper()
	require.Len(t, got, len(want))
	for i := range want {
		w, g := want[i], got[i]
		w.Value = nil
		require.Equal(t, w, g)
	}
}

// recorded returns the stored forms of events.
func recorded(events []store.Event) (r []aggregate.Recorded) {
	for _, e := range events {
		r = append(r, e.Recorded)
	}
	return r
}

func sequences(events []aggregate.Recorded) (n []int64) {
	for _, e := range events {
		n = append(n, e.Sequence)
	}
	return n
}
