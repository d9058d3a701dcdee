package lane_test

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/internal/lane"
	"github.com/maestro-es/maestro/store"
)

// saving is a store for snapshots.
type saving func(ctx context.Context) error

func (s saving) SaveSnapshots(ctx context.Context, _ int, _ []store.Snapshot) error { return s(ctx) }

// A stopping worker stores the waiting snapshots. All of them share one deadline, however many they
// are.
func TestAllSnapshotsHaveOneDeadlineAtTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ended, end := context.WithCancel(t.Context())
		end()
		saved := 0
		quick := lane.NewSnapshots(saving(func(context.Context) error { saved++; return nil }), slog.New(slog.DiscardHandler))
		n := quick.Fill()
		quick.Run(ended)
		require.Equal(t, n, saved)

		slow := lane.NewSnapshots(saving(func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }), slog.New(slog.DiscardHandler))
		slow.Fill()
		start := time.Now()
		slow.Run(ended)
		require.LessOrEqual(t, time.Since(start), lane.EndTimeout)
	})
}
