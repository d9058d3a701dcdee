package deploy

import (
	"path/filepath"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/internal/connect"
)

// passwords are those of the users in deploy/nats/permissions.conf. That file takes them from the
// environment.
var passwords = map[string]string{"worker": "w-secret", "publisher": "p-secret", "subscriber": "s-secret"}

// broker runs a nats-server with the configuration of deploy/nats/, on free ports and in a folder
// of the test.
func broker(t *testing.T, changes ...func(*server.Options)) *server.Server {
	t.Helper()
	options, err := server.ProcessConfigFile(filepath.Join(top, "deploy/nats/nats.conf"))
	require.NoError(t, err)
	require.Equal(t, "/data", options.StoreDir)
	require.Equal(t, 4222, options.Port)
	require.Equal(t, 8222, options.HTTPPort)
	options.Host, options.Port, options.HTTPHost, options.HTTPPort = "127.0.0.1", server.RANDOM_PORT, "127.0.0.1", server.RANDOM_PORT
	options.StoreDir, options.NoSigs, options.NoLog = t.TempDir(), true, true
	for _, change := range changes {
		change(options)
	}
	s, err := server.NewServer(options)
	require.NoError(t, err)
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	require.True(t, s.ReadyForConnections(patience))
	return s
}

// identity returns the flags of a user of deploy/nats/permissions.conf.
func identity(s *server.Server, user string) connect.NATS {
	return connect.NATS{URL: "nats://" + s.Addr().String(), User: user, Password: passwords[user], InboxPrefix: "_INBOX_" + user}
}

// environment returns the same flags as environment variables for a process.
func environment(n connect.NATS) (variables []string) {
	for name, value := range map[string]string{"URL": n.URL, "USER": n.User, "PASSWORD": n.Password, "INBOX_PREFIX": n.InboxPrefix,
		"CREDS": n.Creds, "CA": n.CA, "CERT": n.Cert, "KEY": n.Key, "CONTEXT": n.Context} {
		if value != "" {
			variables = append(variables, "NATS_"+name+"="+value)
		}
	}
	return variables
}

func dial(t *testing.T, n connect.NATS, options ...nats.Option) *nats.Conn {
	t.Helper()
	nc, err := n.Connect(t.Name(), options...)
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	return nc
}
