package telemetry

import (
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestALineThatMessagesCauseIsLoggedSeldom(t *testing.T) {
	var s Seldom
	require.Equal(t, slog.LevelWarn, s.Level(slog.LevelWarn))
	require.Equal(t, slog.LevelDebug, s.Level(slog.LevelWarn))
	s.last.Add(-int64(seldomEvery))
	require.Equal(t, slog.LevelError, s.Level(slog.LevelError))
	require.Equal(t, slog.LevelDebug, s.Level(slog.LevelError))
}
