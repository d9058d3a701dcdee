package store_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/store"
)

func TestIsTransient(t *testing.T) {
	t.Parallel()
	state := func(code string) error { return fmt.Errorf("commit: %w", &pgconn.PgError{Code: code}) }
	for _, err := range []error{
		state("08006"), state("25006"), state("40001"), state("40P01"), state("53300"), state("55P03"), state("57P01"),
		&net.OpError{Op: "read", Err: io.EOF}, fmt.Errorf("receive: %w", io.ErrUnexpectedEOF), context.DeadlineExceeded,
	} {
		require.True(t, store.IsTransient(err), "%v", err)
	}
	for _, err := range []error{
		nil, context.Canceled, errors.New("a user's own"), aggregate.Reject("no", "no"), store.ErrFenced, store.ErrConflict,
		store.ErrDuplicate, &store.DataError{Err: &pgconn.PgError{Code: "22P05"}}, state("22P05"), state("23505"),
		state("25P02"), state("42P01"), state("55000"), state("08P01"), state(""),
	} {
		require.False(t, store.IsTransient(err), "%v", err)
	}
}

func TestAServerThatIsAwayIsTransient(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	pool, err := pgxpool.New(t.Context(), fmt.Sprintf("postgres://a@%s/b?sslmode=disable", listener.Addr()))
	require.NoError(t, err)
	defer pool.Close()
	_, err = store.Open(t.Context(), pool, store.Options{})
	require.True(t, store.IsTransient(err), "%v", err)
}
