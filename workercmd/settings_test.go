package workercmd

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro"
	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/examples/counter"
	"github.com/maestro-es/maestro/internal/localpg"
)

// Manifests and env files leave variables empty.
func TestEmptyVariablesCountAsNotGiven(t *testing.T) {
	for _, name := range []string{"MAESTRO_PARTITIONS", "MAESTRO_NAMESPACE", "MAESTRO_CACHE_BYTES", "MAESTRO_PPROF", "MAESTRO_EVENTS_MAX_AGE",
		"MAESTRO_LOG_LEVEL", "MAESTRO_INTAKE_BYTES", "MAESTRO_HTTP", "NATS_URL"} {
		t.Setenv(name, "")
	}
	var got maestro.Config
	program := Program{Aggregates: []aggregate.Type{counter.Definition},
		Configure: func(_ context.Context, c *maestro.Config) error {
			got = *c
			return errors.New("enough")
		}}
	require.Equal(t, 1, program.run([]string{"orders", "--dev"}))
	require.Equal(t, "maestro", got.Namespace)
	require.Zero(t, got.Partitions)
	require.EqualValues(t, 256<<20, got.CacheBytes)
}

// A file that holds the URL ends with a line break.
func TestAURLWithALineBreakIsUnderstood(t *testing.T) {
	t.Parallel()
	pool, err := database{DatabaseURL: " " + localpg.Database(t) + "\n"}.connect(t.Context())
	require.NoError(t, err)
	pool.Close()
}
