package connect

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/internal/localca"
)

// serve runs a nats-server until the test ends and returns its URL.
func serve(t *testing.T, options *server.Options) string {
	t.Helper()
	options.Host, options.Port, options.NoSigs, options.NoLog = "127.0.0.1", server.RANDOM_PORT, true, true
	s, err := server.NewServer(options)
	require.NoError(t, err)
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	require.NotNil(t, s.Addr(), "the server takes no connections")
	return "nats://" + s.Addr().String()
}

func certificates(t *testing.T) localca.Files {
	t.Helper()
	files, err := localca.Write(t.TempDir())
	require.NoError(t, err)
	return files
}

// demandTLS makes a server refuse clients without TLS, or without a certificate of the same
// authority.
func demandTLS(t *testing.T, files localca.Files) *server.Options {
	t.Helper()
	config, err := server.GenTLSConfig(&server.TLSConfigOpts{CertFile: files.Cert, KeyFile: files.Key, CaFile: files.CA, Verify: true})
	require.NoError(t, err)
	require.Equal(t, tls.RequireAndVerifyClientCert, config.ClientAuth)
	return &server.Options{TLSConfig: config, TLSTimeout: 10}
}

// connected makes sure that messages go to the server and back.
func connected(t *testing.T, n NATS) *nats.Conn {
	t.Helper()
	nc, err := n.Connect("a test")
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	require.NoError(t, nc.Flush())
	return nc
}

func refused(t *testing.T, n NATS, says string) {
	t.Helper()
	_, err := n.Connect("a test")
	require.ErrorContains(t, err, says)
	require.NotContains(t, err.Error(), "secret")
}

func TestUserAndPassword(t *testing.T) {
	t.Parallel()
	url := serve(t, &server.Options{Users: []*server.User{{Username: "worker", Password: "secret"}}})
	connected(t, NATS{URL: url, User: "worker", Password: "secret"})
	connected(t, NATS{URL: "nats://worker:secret@" + url[len("nats://"):]})
	refused(t, NATS{URL: url}, "Authorization Violation: give the user and password (--nats-user, --nats-password)")
	refused(t, NATS{URL: url, User: "worker", Password: "secret2"}, "Authorization Violation")
	refused(t, NATS{URL: "nats://worker:secret2@" + url[len("nats://"):]}, "connect to NATS at 127.0.0.1:")
}

func TestTLS(t *testing.T) {
	t.Parallel()
	files := certificates(t)
	url := serve(t, demandTLS(t, files))
	nc := connected(t, NATS{URL: url, CA: files.CA, Cert: files.Cert, Key: files.Key})
	state, err := nc.TLSConnectionState()
	require.NoError(t, err)
	require.True(t, state.HandshakeComplete)
	refused(t, NATS{URL: url}, "give the authority that signed the server's certificate (--nats-ca)")
	refused(t, NATS{URL: url, CA: files.CA}, "tls") // "tls: certificate required", or "tls error" if the alert was not read in time
	stranger := certificates(t)
	refused(t, NATS{URL: url, CA: stranger.CA, Cert: files.Cert, Key: files.Key}, "certificate signed by unknown authority")
	plain := serve(t, &server.Options{})
	refused(t, NATS{URL: plain, CA: files.CA}, "secure connection not available")
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	options, creds := decentralized(t)
	files := certificates(t)
	options.TLSConfig, options.TLSTimeout = demandTLS(t, files).TLSConfig, 10
	url := serve(t, options)
	identity := NATS{URL: url, Creds: creds, CA: files.CA, Cert: files.Cert, Key: files.Key}
	connected(t, identity)
	_, strangers := decentralized(t)
	identity.Creds = strangers
	refused(t, identity, "Authorization Violation")
	identity.Creds = "missing.creds"
	refused(t, identity, "missing.creds: no such file")
}

// decentralized makes an operator, an account and a user. It returns a server that trusts the
// operator, and the user's credentials.
func decentralized(t *testing.T) (*server.Options, string) {
	t.Helper()
	operator, account, user := pair(t, nkeys.PrefixByteOperator), pair(t, nkeys.PrefixByteAccount), pair(t, nkeys.PrefixByteUser)
	accountClaims := jwt.NewAccountClaims(public(t, account))
	accountToken, err := accountClaims.Encode(operator)
	require.NoError(t, err)
	userToken, err := jwt.NewUserClaims(public(t, user)).Encode(account)
	require.NoError(t, err)
	seed, err := user.Seed()
	require.NoError(t, err)
	text, err := jwt.FormatUserConfig(userToken, seed)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "user.creds")
	require.NoError(t, os.WriteFile(file, text, 0o600))

	accounts := &server.MemAccResolver{}
	require.NoError(t, accounts.Store(public(t, account), accountToken))
	return &server.Options{TrustedKeys: []string{public(t, operator)}, AccountResolver: accounts}, file
}

func pair(t *testing.T, kind nkeys.PrefixByte) nkeys.KeyPair {
	t.Helper()
	p, err := nkeys.CreatePair(kind)
	require.NoError(t, err)
	return p
}

func public(t *testing.T, p nkeys.KeyPair) string {
	t.Helper()
	key, err := p.PublicKey()
	require.NoError(t, err)
	return key
}

func TestContext(t *testing.T) {
	t.Parallel()
	url := serve(t, &server.Options{Users: []*server.User{{Username: "worker", Password: "secret"}, {Username: "other", Password: "secret"}}})
	text, err := json.Marshal(map[string]string{"url": url, "user": "worker", "password": "secret", "inbox_prefix": "_INBOX_worker"})
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "maestro.json")
	require.NoError(t, os.WriteFile(file, text, 0o600))

	nc := connected(t, NATS{Context: file})
	require.Equal(t, url, nc.ConnectedUrl())
	require.Contains(t, nc.NewInbox(), "_INBOX_worker.")
	require.Contains(t, connected(t, NATS{Context: file, InboxPrefix: "_INBOX_other"}).NewInbox(), "_INBOX_other.", "a flag overrides")
	refused(t, NATS{Context: file, User: "worker", Password: "wrong"}, "by the context "+file+": nats: Authorization Violation: give")
	refused(t, NATS{Context: filepath.Join(t.TempDir(), "missing.json")}, "no such file")
}

func TestInboxPrefix(t *testing.T) {
	t.Parallel()
	url := serve(t, &server.Options{Users: []*server.User{{Username: "worker", Password: "secret", Permissions: &server.Permissions{
		Subscribe: &server.SubjectPermission{Allow: []string{"_INBOX_worker.>", "question"}}}}}})
	nc := connected(t, NATS{URL: url, User: "worker", Password: "secret", InboxPrefix: "_INBOX_worker"})
	_, err := nc.Subscribe("question", func(m *nats.Msg) { _ = m.Respond([]byte("answer")) })
	require.NoError(t, err)
	answer, err := nc.RequestWithContext(t.Context(), "question", nil)
	require.NoError(t, err)
	require.Equal(t, "answer", string(answer.Data))
}

func TestFlagsThatDoNotGoTogether(t *testing.T) {
	t.Parallel()
	for says, n := range map[string]NATS{
		"leave --nats-url (NATS_URL) out":         {URL: "nats://localhost", Context: "production"},
		"--nats-creds and --nats-user both say":   {User: "worker", Creds: "worker.creds"},
		"--nats-cert and --nats-key belong":       {Cert: "tls.crt"},
		"--nats-key belong together":              {Key: "tls.key"},
		"--nats-password needs --nats-user":       {Password: "secret"},
		"start one with `go run ./cmd/worker --d": {URL: "nats://127.0.0.1:1"},
	} {
		refused(t, n, says)
	}
}

// A password is shown nowhere, whatever it holds, and works as it is where URLs demand escapes.
func TestAPasswordIsShownNowhere(t *testing.T) {
	t.Parallel()
	const secret = `se%cr/e#t ?:@x`
	url := serve(t, &server.Options{Users: []*server.User{{Username: "worker", Password: secret}}})
	address := url[len("nats://"):]
	connected(t, NATS{URL: "nats://worker:" + secret + "@" + address})
	connected(t, NATS{URL: "worker:" + secret + "@" + address})
	connected(t, NATS{URL: "nats://worker:se%25cr%2Fe%23t%20%3F%3A%40x@" + address})
	hidden := serve(t, &server.Options{Authorization: "s3cr3t"})
	connected(t, NATS{URL: "nats://s3cr3t@" + hidden[len("nats://"):]})
	for _, url := range []string{
		"nats://worker:not" + secret + "@" + address, "worker:not" + secret + "@" + address, "nats://not" + secret + "@" + address,
		"nats://worker:" + secret + "@127.0.0.1:1", "nats://" + secret + "@127.0.0.1:1", secret + "@127.0.0.1:1,a:" + secret + "@127.0.0.1:2",
		"nats://worker:" + secret, "nats://worker:" + secret + "@host:port", "nats://worker:" + secret + "@127.0.0.1:99999", "nats://worker:" + secret + "@",
		"nats://worker:1234,se%cr/@" + address, "nats://worker:12/34se%cr", "nats://worker:" + secret + "@[::1", "://worker:" + secret + "@x y",
	} {
		_, err := NATS{URL: url}.Connect("a test")
		require.Error(t, err, url)
		for _, part := range []string{"se%cr", "e#t", "cr/", "1234", "%25", "not", "?:"} {
			require.NotContains(t, strings.ReplaceAll(err.Error(), "cannot", ""), part, "%s: %s", url, err)
		}
	}
	_, err := NATS{URL: "nats://worker:" + secret + "@127.0.0.1:1"}.Connect("a test")
	require.ErrorContains(t, err, "connect to NATS at 127.0.0.1:1: ")

	file := filepath.Join(t.TempDir(), "maestro.json")
	require.NoError(t, os.WriteFile(file, []byte(`{"url":"nats://worker:`+secret+`@127.0.0.1:1"}`), 0o600))
	_, err = NATS{Context: file}.Connect("a test")
	require.ErrorContains(t, err, "the URL of a server cannot be read")
	require.NotContains(t, err.Error(), "cr/")
}

// While a password is rotated, server and program disagree for a while. Credentials are a file that
// somebody replaces.
func TestRotatedCredentialsWork(t *testing.T) {
	t.Parallel()
	password := func(text string) *server.Options {
		return &server.Options{Host: "127.0.0.1", NoSigs: true, NoLog: true, Users: []*server.User{{Username: "worker", Password: text}}}
	}
	options := password("old")
	options.Port = server.RANDOM_PORT
	s, err := server.NewServer(options)
	require.NoError(t, err)
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	require.True(t, s.ReadyForConnections(10*time.Second))
	refusals := make(chan error, 100)
	nc, err := NATS{URL: "nats://" + s.Addr().String(), User: "worker", Password: "old"}.Connect("a test",
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refusals <- err }))
	require.NoError(t, err)
	t.Cleanup(nc.Close)

	rotated := func(to string) {
		next := password(to)
		next.Port = s.Addr().(*net.TCPAddr).Port
		require.NoError(t, s.ReloadOptions(next))
	}
	rotated("new")
	for range 5 { // two are enough for the client's defaults to give up
		require.ErrorIs(t, <-refusals, nats.ErrAuthorization)
	}
	require.False(t, nc.IsClosed())
	rotated("old")
	require.Eventually(t, nc.IsConnected, 5*time.Second, time.Millisecond)
	require.NoError(t, nc.Flush())
}

// The file is read at each attempt.
func TestCredentialsAreReadAgain(t *testing.T) {
	t.Parallel()
	options, creds := decentralized(t)
	good, err := os.ReadFile(creds)
	require.NoError(t, err)
	nc := connected(t, NATS{URL: serve(t, options), Creds: creds})
	_, strangers := decentralized(t)
	bad, err := os.ReadFile(strangers)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(creds, bad, 0o600))
	require.NoError(t, nc.ForceReconnect())
	require.Eventually(t, func() bool { return errors.Is(nc.LastError(), nats.ErrAuthorization) }, 10*time.Second, time.Millisecond)
	require.NoError(t, os.WriteFile(creds, good, 0o600))
	require.Eventually(t, func() bool { return nc.IsConnected() && nc.FlushTimeout(time.Second) == nil }, 10*time.Second, time.Millisecond)
}
