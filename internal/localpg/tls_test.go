package localpg

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

func TestAClusterMayDemandTLS(t *testing.T) {
	t.Parallel()
	s, err := Start(t.Context(), Options{Unsafe: true, TLS: true})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Stop()) })
	conn := connect(t, s.URL())
	require.True(t, query[bool](t, conn, "select ssl from pg_stat_ssl where pid = pg_backend_pid()"))

	_, err = pgx.Connect(t.Context(), strings.Replace(s.URL(), "sslmode=verify-full", "sslmode=disable", 1))
	require.ErrorContains(t, err, "no encryption")
	address, _, _ := strings.Cut(s.URL(), "?")
	_, err = pgx.Connect(t.Context(), address+"?sslmode=verify-full")
	require.ErrorContains(t, err, "certificate signed by unknown authority")
}
