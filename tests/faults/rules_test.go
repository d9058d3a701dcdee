package faults

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// An operator takes a permission away from the workers and gives it back. nats-server ends the
// subscriptions that are no longer allowed, and does not start them again.
func TestASubjectThatIsTakenAwayAndGivenBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shape{brokers: 1, workers: 2, started: 2, partitions: 4, variation: variation{guarded: true}})
	for _, subject := range w.subjects() {
		t.Log(subject)
		require.NoError(t, w.rule(func(r *rules) { r.denied = subject }))
		pause(t.Context(), 2*time.Second)
		require.NoError(t, w.rule(func(r *rules) { r.denied = "" }))
		ctx, cancel := context.WithTimeout(t.Context(), w.calm)
		err := w.drain(ctx)
		cancel()
		require.NoError(t, err, subject)
	}
	e, err := w.rest(t.Context(), nil)
	require.NoError(t, err)
	require.Empty(t, check(e, nil, w.partitions))
}
