package store_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/store"
)

// Read models may use all connections of a small pool. Ownership and health have connections of
// their own. Postgres is therefore not taken for lost, and partitions can be acquired, looked at,
// and given up.
func TestReadModelsThatHaveAllConnectionsDoNotTouchOwnership(t *testing.T) {
	t.Parallel()
	s := open(t, newPool(t, func(c *pgxpool.Config) { c.MaxConns = 4 }), store.Options{Partitions: 8})
	inside, release, ended := make(chan struct{}, 4), make(chan struct{}), make(chan error, 4)
	letGo := sync.OnceFunc(func() { close(release) })
	t.Cleanup(letGo) // before the store closes, because Close waits for them
	for p := range 4 {
		at, err := s.Acquire(t.Context(), p, "owner")
		require.NoError(t, err)
		c := in(p)
		c.Epoch = at.Epoch
		c.Handlers = handling(func(context.Context, pgx.Tx) error {
			inside <- struct{}{}
			<-release
			return nil
		})
		go func() { ended <- s.Commit(context.WithoutCancel(t.Context()), c) }()
	}
	for range 4 {
		<-inside
	}
	require.Eventually(t, func() bool { return s.Health() != nil }, 20*time.Second, 10*time.Millisecond)
	require.ErrorContains(t, s.Health(), "all 4 connections were busy", "that it cannot commit is said")
	for range 20 {
		require.NoError(t, s.Writable(), "and is no loss of Postgres")
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		at, err := s.Acquire(ctx, 7, "another")
		require.NoError(t, err)
		_, err = s.Partition(ctx, 0)
		require.NoError(t, err)
		_, err = s.Rows(ctx)
		require.NoError(t, err)
		require.Positive(t, at.Epoch)
		cancel()
	}
	letGo()
	for range 4 {
		require.NoError(t, <-ended)
	}
	require.Eventually(t, func() bool { return s.Health() == nil }, 20*time.Second, 10*time.Millisecond)
}
