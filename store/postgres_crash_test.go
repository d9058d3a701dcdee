package store_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/internal/localpg"
	"github.com/maestro-es/maestro/store"
)

func TestWhatWasCommittedOutlivesACrash(t *testing.T) {
	t.Parallel()
	server, err := localpg.Start(t.Context(), localpg.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Stop()) })
	pool := localpg.Pool(t, server.URL())
	s := open(t, pool, store.Options{})

	const before = 20
	var committed int64 // as acknowledged to the writer
	running, stopped := make(chan struct{}), make(chan error, 1)
	write := func(position int64) error {
		return s.Commit(t.Context(), batchOf(position, 3, func(i int64) string { return fmt.Sprint(i) }))
	}
	go func() {
		for n := 0; ; n++ {
			if n == before {
				close(running)
			}
			if err := write(committed); err != nil {
				stopped <- err
				return
			}
			committed += 3
		}
	}()
	<-running
	require.NoError(t, server.Halt(localpg.Immediate))
	err = <-stopped
	require.True(t, store.Judge(err).Passes(), "%v", err)
	_, err = s.Partition(t.Context(), 0)
	require.True(t, store.Judge(err).Passes(), "%v", err)
	require.NoError(t, server.Resume())

	p, err := s.Partition(t.Context(), 0)
	require.NoError(t, err)
	require.Contains(t, []int64{committed, committed + 3}, p.Position, "the last commit may have been done, unheard")
	log, err := s.Log(t.Context(), 0, 0, 1<<20)
	require.NoError(t, err)
	require.Len(t, log, int(p.Position))
	for i, e := range log {
		require.Equal(t, int64(i)+1, e.Position)
	}
	require.NoError(t, write(p.Position))
}
