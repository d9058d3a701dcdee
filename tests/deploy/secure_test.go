package deploy

import (
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/internal/localca"
	"github.com/maestro-es/maestro/internal/localpg"
)

// Both programs run on servers that refuse clients without TLS. NATS also wants a certificate and a
// password. Postgres's certificate must be good.
func TestTheWholePathByTLS(t *testing.T) {
	t.Parallel()
	files, err := localca.Write(t.TempDir())
	require.NoError(t, err)
	s := broker(t, func(o *server.Options) {
		o.TLSConfig, err = server.GenTLSConfig(&server.TLSConfigOpts{CertFile: files.Cert, KeyFile: files.Key, CaFile: files.CA, Verify: true})
		require.NoError(t, err)
		o.TLSTimeout = 10
	})
	database, err := localpg.Start(t.Context(), localpg.Options{Unsafe: true, TLS: true})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, database.Stop()) })
	worker, publisher := identity(s, "worker"), identity(s, "publisher")

	status, out := publish(t, environment(publisher), "request", "counter", "1", "increment", `{"by":1}`)
	require.Equal(t, 1, status)
	require.Contains(t, out, "give the authority that signed the server's certificate (--nats-ca)")

	worker.CA, worker.Cert, worker.Key = files.CA, files.Cert, files.Key
	publisher.CA, publisher.Cert, publisher.Key = files.CA, files.Cert, files.Key
	w := startWorker(t, append(environment(worker), "DATABASE_URL="+database.URL())...)
	status, out = publish(t, environment(publisher), "request", "counter", "1", "increment", `{"by":1}`)
	require.Equal(t, 0, status, out)
	require.Contains(t, out, "committed: counter 1 is at sequence 1")
	w.stop()
}
