package storetest

import (
	"math"
	"strconv"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/store"
)

func emptyStore(s *suite) {
	require.GreaterOrEqual(s, s.store.Partitions(), 4)
	require.Equal(s, store.Partition{Number: partition}, s.at(partition))
	require.Empty(s, s.log())
	require.Equal(s, store.History{}, s.history(store.Query{Key: counter("none"), SnapshotVersion: 1}))
	histories, err := s.store.Load(s.ctx(), partition, nil)
	require.NoError(s, err)
	require.Empty(s, histories)
	found, err := s.store.Receipts(s.ctx(), partition, nil)
	require.NoError(s, err)
	require.Empty(s, found)
}

func partitionRange(s *suite) {
	for _, outside := range []int{-1, s.store.Partitions(), math.MaxInt32} {
		_, err := s.store.Acquire(s.ctx(), outside, "a")
		require.ErrorContains(s, err, strconv.Itoa(outside))
		_, err = s.store.Partition(s.ctx(), outside)
		require.Error(s, err)
		require.Error(s, s.store.Commit(s.ctx(), &store.Commit{Partition: outside}))
		_, err = s.store.Load(s.ctx(), outside, nil)
		require.Error(s, err)
		_, err = s.store.Events(s.ctx(), outside, counter("1"), 0, 1)
		require.Error(s, err)
		_, err = s.store.Log(s.ctx(), outside, 0, 1)
		require.Error(s, err)
		_, err = s.store.Receipts(s.ctx(), outside, nil)
		require.Error(s, err)
	}
}

func acquireRaisesEpoch(s *suite) {
	for epoch, owner := range []string{"a", "b", "b"} {
		p, err := s.store.Acquire(s.ctx(), partition, owner)
		require.NoError(s, err)
		p = s.timeless(p)
		require.Equal(s, store.Partition{Number: partition, Owner: owner, Epoch: int64(epoch) + 1}, p)
		require.Equal(s, p, s.at(partition))
	}
	require.Equal(s, store.Partition{Number: partition + 1}, s.at(partition+1), "other partitions are not touched")
}

func rows(s *suite) {
	_, err := s.store.Acquire(s.ctx(), partition, "a")
	require.NoError(s, err)
	s.commit(s.next(counter("1")))
	all, err := s.store.Rows(s.ctx())
	require.NoError(s, err)
	require.Len(s, all, s.store.Partitions())
	for p, row := range all {
		require.Equal(s, s.at(p), s.timeless(row))
	}
}

func commitReadsBack(s *suite) {
	p, err := s.store.Acquire(s.ctx(), partition, "a")
	require.NoError(s, err)
	first, second := counter("1"), store.Key{Type: "account", ID: "1"}
	metadata := store.Metadata{CommandID: "c-1 \"quoted\" \\ ü 😀 <&>", CorrelationID: "correlation", CausationID: "causation",
		Traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", Tracestate: "vendor=1"}
	c := &store.Commit{
		Partition: partition, Epoch: p.Epoch, Position: 0,
		Cursor:    store.Cursor{StreamCreated: epochTime, Sequence: 42, Time: epochTime.Add(time.Second)},
		Published: 1, EventStreamCreated: epochTime.Add(time.Minute),
		Events: []store.Event{event(first, 1, 1), event(second, 1, 2), event(first, 2, 3)},
	}
	c.Events[1].Metadata, c.Events[1].Version, c.Events[1].Type = metadata, 7, "opened"
	// A time may have any time zone when it is written. It is read in UTC.
	c.Events[2].RecordedAt = c.Events[2].RecordedAt.In(time.FixedZone("east", 3600))
	s.commit(c)

	c.Events[2].RecordedAt = c.Events[2].RecordedAt.UTC()
	sameEvents(s.T, c.Events, s.log())
	require.Equal(s, store.Partition{
		Number: partition, Owner: "a", Epoch: p.Epoch, Position: 3, Published: 1, Cursor: c.Cursor, EventStreamCreated: c.EventStreamCreated,
		Time: c.Events[2].RecordedAt,
	}, s.at(partition))
	require.Equal(s, []int64{1, 2}, sequences(s.history(store.Query{Key: first}).Events))
	require.Equal(s, []int64{1}, sequences(s.history(store.Query{Key: second}).Events))
}

func layout(s *suite) {
	c := s.next(counter("1"))
	c.Layout++
	s.refused(c, store.ErrConflict)
	c.Layout = -1
	s.refused(c, store.ErrConflict)
}

func clock(s *suite) {
	var last time.Time
	for range 3 {
		c := s.next(counter("1"))
		before := time.Now()
		s.commit(c)
		require.WithinRange(s, c.Clock, before.Add(-time.Minute), time.Now().Add(time.Minute))
		require.False(s, c.Clock.Before(last))
		require.Equal(s, time.UTC, c.Clock.Location())
		last = c.Clock
	}
	c := s.next(counter("1"))
	c.Position++
	c.Events[0].Position++
	s.refused(c, store.ErrConflict)
	require.Zero(s, c.Clock)
}

// future checks that a time from the future does not stay in the row. The next owner would go on
// from that time until the clock reaches it.
func future(s *suite) {
	c := s.next(counter("1"))
	c.Events[0].RecordedAt = epochTime.AddDate(64, 0, 0)
	s.commit(c)
	require.Equal(s, c.Events[0].RecordedAt, s.at(partition).Time)
	before := time.Now()
	p, err := s.store.Acquire(s.ctx(), partition, "a")
	require.NoError(s, err)
	require.WithinRange(s, p.Time, before.Add(55*time.Second), time.Now().Add(65*time.Second))
	require.Equal(s, p.Time, s.at(partition).Time)
	require.Equal(s, c.Events[0].RecordedAt, s.log()[0].RecordedAt, "the event keeps its time")

	c = s.next(counter("1"))
	c.Events[0].RecordedAt = time.Now().UTC().Add(30 * time.Second).Truncate(time.Microsecond)
	s.commit(c)
	p, err = s.store.Acquire(s.ctx(), partition, "a")
	require.NoError(s, err)
	require.Equal(s, c.Events[0].RecordedAt, p.Time)
}

// anotherHistory checks that a commit is refused if others have reached the same position after
// commits were lost. Their last event has another time.
func anotherHistory(s *suite) {
	s.commit(s.next(counter("1")))
	for _, at := range []time.Time{{}, epochTime, s.at(partition).Time.Add(time.Microsecond)} {
		c := s.next(counter("1"))
		c.Time = at
		s.refused(c, store.ErrConflict)
	}
	c := s.next()
	c.Time = epochTime
	s.refused(c, store.ErrConflict)
}

// whole checks that a history cannot have a gap or begin in its middle.
func whole(s *suite) {
	s.commit(s.next(counter("1"), counter("1")))
	for _, e := range []store.Event{event(counter("1"), 4, 3), event(counter("2"), 2, 3), event(counter("2"), 5, 3)} {
		c := s.next()
		c.Events = []store.Event{e}
		s.refused(c, store.ErrConflict)
		c.Events = []store.Event{event(counter("3"), 1, 3), e}
		c.Events[1].Position++
		s.refused(c, store.ErrConflict)
	}
	for _, sequence := range []int64{-1, 0} {
		c := s.next()
		c.Events = []store.Event{event(counter("2"), sequence, 3)}
		require.Error(s, s.store.Commit(s.ctx(), c))
	}
	s.commit(s.next(counter("1"), counter("2")))
}

func cursorAlone(s *suite) {
	s.commit(s.next(counter("1")))
	before := s.at(partition)
	c := s.next()
	c.Cursor = store.Cursor{StreamCreated: epochTime, Sequence: math.MaxInt64, Time: epochTime}
	c.Published = 1
	c.DeadLetters = []store.DeadLetter{{ID: "1", Subject: "a.b", At: epochTime}, {ID: "2", Subject: "a.c", At: epochTime,
		Headers: map[string][]string{"A": {"b"}}, Body: []byte("body\x00"), Sequence: 3, CommandID: "c", Code: "d", Message: "e"}}
	s.commit(c)
	after := s.at(partition)
	require.Equal(s, c.Cursor, after.Cursor)
	require.Equal(s, int64(1), after.Published)
	require.Equal(s, before.Time, after.Time, "the time of the last event stays")
	require.Equal(s, before.Position, after.Position)

	s.commit(&store.Commit{Partition: partition, Epoch: after.Epoch, Position: after.Position, Time: after.Time})
	require.Equal(s, store.Cursor{}, s.at(partition).Cursor, "a commit replaces the cursor, also by none")
}

func fence(s *suite) {
	former, err := s.store.Acquire(s.ctx(), partition, "former")
	require.NoError(s, err)
	_, err = s.store.Acquire(s.ctx(), partition, "present")
	require.NoError(s, err)

	c := s.next(counter("1"))
	c.Epoch = former.Epoch
	c.Receipts = []store.Receipt{receipt(counter("1"), "c")}
	s.refused(c, store.ErrFenced)
	c.Position, c.Events[0].Position = 7, 8
	s.refused(c, store.ErrFenced)
	empty := s.next()
	empty.Epoch = former.Epoch
	s.refused(empty, store.ErrFenced)

	s.commit(s.next(counter("1")))
}

func conflict(s *suite) {
	s.commit(s.next(counter("1"), counter("2")))
	for _, position := range []int64{0, 1, 3} {
		c := s.next(counter("3"))
		c.Position, c.Events[0].Position = position, position+1
		c.Cursor.Sequence = 99
		c.Receipts = []store.Receipt{receipt(counter("3"), "c")}
		s.refused(c, store.ErrConflict)
		require.Empty(s, s.receiptsOf(counter("3"), "c"))
	}
}

func gap(s *suite) {
	c := s.next(counter("1"), counter("2"))
	c.Events[1].Position++
	require.ErrorContains(s, s.store.Commit(s.ctx(), c), "position")
	require.Empty(s, s.log())
	require.Equal(s, store.Partition{Number: partition}, s.at(partition))
}

func sequenceTwice(s *suite) {
	s.commit(s.next(counter("1"), counter("1")))
	c := s.next(counter("2"), counter("1"))
	c.Events[1].Sequence = 2
	c.Receipts = []store.Receipt{receipt(counter("1"), "c")}
	s.refused(c, store.ErrConflict)
	require.Empty(s, s.receiptsOf(counter("1"), "c"))

	sameID := s.next(store.Key{Type: "account", ID: "1"})
	require.Equal(s, int64(1), sameID.Events[0].Sequence)
	s.commit(sameID)
}

func unstorable(s *suite) {
	before, log := s.at(partition), s.log()
	for name, spoil := range map[string]func(c *store.Commit){
		"NUL in metadata": func(c *store.Commit) { c.Events[1].Metadata.CorrelationID = "a\x00b" },
		"NUL in an id":    func(c *store.Commit) { c.Receipts[0].CommandID = "\x00" },
		"not UTF-8":       func(c *store.Commit) { c.Receipts[0].CommandID = "\xff" },
	} {
		c := s.next(counter("1"), counter("2"))
		c.Receipts = []store.Receipt{receipt(counter("2"), "c"), receipt(counter("1"), "c")}
		spoil(c)
		err := s.store.Commit(s.ctx(), c)
		var data *store.DataError
		require.ErrorAs(s, err, &data, name)
		require.Len(s, data.Code, 5, name)
		require.NotEmpty(s, data.Message, name)
		require.False(s, store.Judge(err).Passes(), name)
		s.unchanged(c, before, log)
		require.Empty(s, s.receiptsOf(counter("1"), "c"), name)
	}
}
