package faults

import (
	"context"
	"fmt"
	"strconv"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/internal/wire"
)

// A database loses commits that the event stream has, and then gets more commits than it lost. A
// worker stops publishing and says so. Without the comparison of log and stream, the worker
// silently goes on after the events of another history.
func TestWithoutTheComparisonAnotherHistoryIsPassedOver(t *testing.T) {
	t.Parallel()
	const kept, lost, more = 2, 2, 4
	for tag, silent := range map[string]bool{"": false, "maestro_uncompared": true} {
		t.Run("without "+tag, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, 1, tag, variation{})
			increment := func(times int) {
				for range times {
					s.do(s.op("increment", `{}`))
				}
			}
			increment(kept)
			s.streamHas(kept)
			s.keep()
			increment(lost)
			s.streamHas(kept + lost)
			s.bringBack()
			increment(more)
			ctx, cancel := context.WithTimeout(s.Context(), patience)
			defer cancel()
			passed := false
			require.NoError(s, poll(ctx, func() bool {
				passed = s.inStream() == kept+more
				return passed || s.told("the event stream is not the log's")
			}))
			require.Equal(s, silent, passed)
		})
	}
}

func (s *stage) partition() int {
	return wire.Partition("counter", fmt.Sprint("counter-", s.round), s.partitions)
}

// inStream returns the position of the last event of the round's counter in the stream.
func (s *stage) inStream() int {
	s.Helper()
	stream, err := s.js.Stream(s.Context(), s.namespace.EventStream())
	require.NoError(s, err)
	last, err := stream.GetLastMsgForSubject(s.Context(), s.namespace.EventsOf(s.partition()))
	if err != nil {
		return 0
	}
	position, err := strconv.Atoi(last.Header.Get(wire.HeaderEventPosition))
	require.NoError(s, err)
	return position
}

func (s *stage) streamHas(position int) {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), patience)
	defer cancel()
	require.NoError(s, poll(ctx, func() bool { return s.inStream() == position }))
}

// tables are the tables that hold the state of a partition.
var tables = []string{"partitions", "log", "receipts", "snapshots"}

// keep saves the tables. bringBack restores what was saved.
func (s *stage) keep() {
	s.Helper()
	for _, name := range tables {
		_, err := s.pool.Exec(s.Context(), "create table kept_"+name+" as table "+s.table(name))
		require.NoError(s, err)
	}
}

func (s *stage) bringBack() {
	s.Helper()
	require.NoError(s, pgx.BeginFunc(s.Context(), s.pool, func(tx pgx.Tx) error {
		for _, name := range tables {
			if _, err := tx.Exec(s.Context(), "truncate "+s.table(name)); err != nil {
				return err
			}
			if _, err := tx.Exec(s.Context(), "insert into "+s.table(name)+" table kept_"+name); err != nil {
				return err
			}
		}
		return nil
	}))
}
