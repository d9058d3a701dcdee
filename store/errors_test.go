package store_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/store"
)

// An error that the store did not return is the caller's own, whatever it wraps.
func TestErrorsOfOthersRefuse(t *testing.T) {
	t.Parallel()
	for _, err := range []error{
		errors.New("a user's own"), aggregate.Reject("no", "no"), context.Canceled, context.DeadlineExceeded,
		fmt.Errorf("decode: %w", io.ErrUnexpectedEOF), &url.Error{Op: "Get", Err: &net.OpError{Op: "dial", Err: io.EOF}},
		&pgconn.PgError{Code: "40P01"}, &pgconn.ConnectError{},
	} {
		require.Equal(t, store.Refuse, store.Judge(err), "%v", err)
	}
}

// The origin decides, not the other errors in the chain. A projection may return an error that it
// got from a store of its own.
func TestTheOriginOfAnErrorDecides(t *testing.T) {
	t.Parallel()
	of := func(from store.Origin, err error) error {
		return fmt.Errorf("commit: %w", &store.Fault{Origin: from, Err: fmt.Errorf("projection: %w", err)})
	}
	own := &store.Fault{Origin: store.Connection, Condition: store.Lost, Err: io.ErrUnexpectedEOF}
	for _, err := range []error{store.ErrFenced, store.ErrConflict, store.ErrDuplicate, own, &store.DataError{Err: io.EOF}} {
		require.Equal(t, store.Refuse, store.Judge(of(store.UserCode, err)), "%v", err)
		require.NotEqual(t, store.Refuse, store.Judge(err), "%v", err)
	}
	require.Equal(t, store.Wait, store.Judge(of(store.UserCode, &store.RetryError{Err: io.EOF})))
	require.Equal(t, store.Stop, store.Judge(fmt.Errorf("commit: %w", store.ErrFenced)))
	require.Equal(t, store.Halve, store.Judge(fmt.Errorf("commit: %w", &store.DataError{Err: &pgconn.PgError{Code: "08P01"}})))
}

func TestAServerThatIsAwayPasses(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	pool, err := pgxpool.New(t.Context(), fmt.Sprintf("postgres://a@%s/b?sslmode=disable", listener.Addr()))
	require.NoError(t, err)
	defer pool.Close()
	_, err = store.Open(t.Context(), pool, store.Options{})
	require.True(t, store.Judge(err).Passes(), "%v", err)
}
