package lane_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/internal/lane"
	"github.com/maestro-es/maestro/projections"
	"github.com/maestro-es/maestro/store"
)

// A command is given up only if Postgres was healthy around enough tries. If it was healthy each
// time, three tries are enough. Otherwise the tries must spread over a time. If Postgres was slow
// recently, at most one command is given up in a long time.
func TestWhenACommandIsGivenUp(t *testing.T) {
	const never = time.Hour
	for name, c := range map[string]struct {
		slow           int // how many empty commits are slow at first
		spread, recent time.Duration
		rarely         time.Duration
		first, second  bool // whether the first and second command are given up
	}{
		"Postgres is quick":                        {0, never, never, never, true, true},
		"it was slow once, tries are spread":       {1, never, time.Nanosecond, time.Nanosecond, false, true},
		"they are spread over a time that is over": {1, time.Nanosecond, time.Nanosecond, never, true, true},
		"it was slow recently":                     {1, time.Nanosecond, never, never, true, false},
		"recently, and the last is long ago":       {1, time.Nanosecond, never, time.Nanosecond, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pg, _ := postgres(t)
			s := &slowControls{Store: pg}
			s.slow.Store(int64(c.slow))
			var relieved atomic.Bool
			tries := map[string]*atomic.Int64{"one": {}, "two": {}}
			read := projections.Define("wrong", projections.Each(slowTally, func(ctx context.Context, tx pgx.Tx, e projections.Event[Added]) error {
				if tries[e.Aggregate.ID] == nil || relieved.Load() {
					return nil
				}
				tries[e.Aggregate.ID].Add(1)
				_, err := tx.Exec(ctx, "do $$ begin raise 'no' using errcode = '57014'; end $$")
				return err
			}))
			require.NoError(t, pg.Setup(t.Context(), read.Model()))
			r := newRigAt(t, s, acquired(t, pg), nil, hasty, func(l *lane.Config) {
				l.Projections = []lane.Projection{read}
				l.Budgets.Spread, l.Budgets.Recent, l.Budgets.Rarely = c.spread, c.recent, c.rarely
			}).run()
			want := map[bool]string{true: "failed gave_up", false: "committed"}
			require.Equal(t, want[c.first], status(r.tryUntil(c.first, "one", tries["one"], &relieved)))
			relieved.Store(false)
			require.Equal(t, want[c.second], status(r.tryUntil(c.second, "two", tries["two"], &relieved)))
		})
	}
}

// tryUntil sends a command of an aggregate. If the command is not to be given up, tryUntil lets it
// succeed after more tries than would be enough.
func (r *rig) tryUntil(gaveUp bool, id string, tries *atomic.Int64, relieved *atomic.Bool) store.Outcome {
	r.Helper()
	results := r.put(noted(id, "1", "wrong"))
	if !gaveUp {
		require.Eventually(r, func() bool { return tries.Load() > 6 || len(results) > 0 }, time.Minute, time.Millisecond)
		relieved.Store(true)
	}
	return (<-results).Outcome
}

// slowControls is a store in which some empty commits take long.
type slowControls struct {
	store.Store
	slow atomic.Int64 // how many more are slow; of each two, the second is slow
	odd  atomic.Bool
}

func (s *slowControls) Commit(ctx context.Context, c *store.Commit) error {
	empty := len(c.Events)+len(c.Receipts)+len(c.DeadLetters) == 0
	if empty && s.odd.Swap(!s.odd.Load()) && s.slow.Add(-1) >= 0 { // only the second is measured
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return s.Store.Commit(ctx, c)
}
