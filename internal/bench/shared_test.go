package main

import (
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/internal/localpg"
)

// The test binary also runs as the processes of an experiment.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 {
		if role, is := roles[os.Args[1]]; is {
			role(os.Args[2])
			return
		}
	}
	os.Exit(m.Run())
}

// smallLab returns a lab whose servers hold little data.
func smallLab(t *testing.T) *lab {
	t.Helper()
	l := &lab{options: options{scale: 1, rounds: 1}, dir: t.TempDir(), collector: newCollector()}
	t.Cleanup(func() { require.NoError(t, l.close()) })
	require.NoError(t, l.startBroker(t.Context()))
	var err error
	l.postgres, err = localpg.Start(t.Context(), localpg.Options{})
	require.NoError(t, err)
	l.pool, err = pgxpool.New(t.Context(), l.postgres.URL())
	require.NoError(t, err)
	return l
}

// Each event is counted once, by one writer and by several workers, and nothing is left behind.
func TestAllPartitionsCountInTheSameRows(t *testing.T) {
	t.Parallel()
	l := smallLab(t)
	for _, side := range []sharing{{"a single writer", 1, 1, 2000}, {"three workers", 6, 3, 4000}} {
		rate, slowest, err := l.share(t.Context(), side)
		require.NoError(t, err, side.name)
		require.Positive(t, slowest, side.name)
		require.Positive(t, rate, side.name)
	}
	var left int
	require.NoError(t, l.pool.QueryRow(t.Context(), `select count(*) from pg_namespace where starts_with(nspname, 'bench')`).Scan(&left))
	require.Zero(t, left)
}

func TestTheSlowestTenthIsFound(t *testing.T) {
	t.Parallel()
	s := tenths{of: 100, at: time.Now().Add(-time.Second)}
	require.NoError(t, s.see(5))
	require.Zero(t, s.slowest, "not a tenth yet")
	require.NoError(t, s.see(50))
	require.InDelta(t, 50, s.slowest, 5)
	s.at = time.Now().Add(-10 * time.Second)
	require.NoError(t, s.see(60))
	require.InDelta(t, 1, s.slowest, 0.2)
	s.at = time.Now().Add(-time.Second)
	require.NoError(t, s.see(100))
	require.InDelta(t, 1, s.slowest, 0.2, "the lowest remains")
	require.Error(t, s.see(99))
}
