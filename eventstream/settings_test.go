package eventstream_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/eventstream"
)

// Workers with different settings for the stream do not undo each other's changes. A worker leaves
// a setting alone that it was not given.
func TestWhatAWorkerWasNotToldIsLeftAsItIs(t *testing.T) {
	t.Parallel()
	r := startCluster(t, server.JSLimitOpts{}).rig(t)
	ensure := func(c eventstream.StreamConfig) jetstream.StreamConfig {
		t.Helper()
		made, err := eventstream.Ensure(t.Context(), r.js, ns, c)
		require.NoError(t, err)
		return made.CachedInfo().Config
	}
	ensure(eventstream.StreamConfig{Replicas: 3, MaxAge: 168 * time.Hour, MaxBytes: 1 << 30})
	for _, told := range []eventstream.StreamConfig{{}, {Replicas: 3}, {MaxAge: 168 * time.Hour}} {
		is := ensure(told)
		require.Equal(t, 3, is.Replicas, "%+v", told)
		require.Equal(t, 168*time.Hour, is.MaxAge, "%+v", told)
		require.EqualValues(t, 1<<30, is.MaxBytes, "%+v", told)
	}
	is := ensure(eventstream.StreamConfig{MaxBytes: 2 << 30})
	require.Equal(t, []any{3, 168 * time.Hour, int64(2 << 30)}, []any{is.Replicas, is.MaxAge, is.MaxBytes})
	is = ensure(eventstream.StreamConfig{MaxAge: -1})
	require.Equal(t, []any{3, time.Duration(0), int64(2 << 30)}, []any{is.Replicas, is.MaxAge, is.MaxBytes}, "a limit that is taken away")
}
