package admin_test

import (
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/maestro-es/maestro/examples/counter"
	"github.com/maestro-es/maestro/repository"
	"github.com/maestro-es/maestro/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// counters returns a repository that works until the test ends.
func counters(t *testing.T, s store.Store) *repository.Repository[counter.Counter] {
	t.Helper()
	r, err := repository.New(t.Context(), counter.Definition, s, repository.Config{Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	return r
}

func increment(by int) counter.Increment {
	amount := int64(by)
	return counter.Increment{By: &amount}
}
