// Package connect holds what the commands share when they connect to NATS: the flags that say where
// the server is and who the program is, and the connection that the flags lead to.
package connect

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/synadia-io/orbit.go/natscontext"
)

// NATS says which server to connect to, and as whom. A command embeds it among its flags with the
// prefixes nats- and NATS_. The flags and environment variables then have the same names as those
// of the nats command line.
type NATS struct {
	URL         string `env:"URL" placeholder:"URL" help:"NATS servers, separated by commas (default nats://127.0.0.1:4222)."`
	Context     string `env:"CONTEXT" placeholder:"NAME" help:"Context of the nats command line, or the path of one, in place of a URL."`
	User        string `env:"USER" placeholder:"NAME" help:"User name."`
	Password    string `env:"PASSWORD" placeholder:"TEXT" help:"Password of the user; the environment is the safer place."`
	Creds       string `env:"CREDS" placeholder:"FILE" help:"Credentials of a user of decentralized authentication."`
	CA          string `env:"CA" placeholder:"FILE" help:"Certificates of the authorities to trust; demands TLS."`
	Cert        string `env:"CERT" placeholder:"FILE" help:"Certificate of this program, for servers that ask for one."`
	Key         string `env:"KEY" placeholder:"FILE" help:"Key of the certificate."`
	InboxPrefix string `env:"INBOX_PREFIX" placeholder:"SUBJECT" help:"Begins the subjects of answers, for users who may not listen on _INBOX."`
}

// Connect connects under a name that the server shows. If the server goes away later, or refuses
// the credentials for a while, the connection waits for it and tries again. The files of the
// credentials are read at each attempt. The given options come after those of the flags. The error
// shows no password and no token.
func (n NATS) Connect(name string, options ...nats.Option) (*nats.Conn, error) {
	if err := n.check(); err != nil {
		return nil, err
	}
	options = slices.Concat([]nats.Option{nats.Name(name)}, lasting(), n.identity(), options)
	if n.Context != "" {
		nc, _, err := natscontext.Connect(n.Context, options...)
		if err != nil {
			return nil, fmt.Errorf("connect to NATS by the context %s: %w%s", n.Context, withoutURL(err), hint(err))
		}
		return nc, nil
	}
	servers, err := parseServers(cmp.Or(n.URL, nats.DefaultURL))
	if err != nil {
		return nil, err
	}
	nc, err := nats.Connect(servers.urls(), options...)
	if err != nil {
		return nil, fmt.Errorf("connect to NATS at %s: %w%s", servers, withoutURL(err), hint(err))
	}
	return nc, nil
}

// lasting returns the options that keep a connection. Without them it takes six minutes to notice
// that a connection is silent, a server that refuses the credentials twice is given up, and a write
// to a network that takes nothing blocks everything for a minute.
func lasting() []nats.Option {
	return []nats.Option{
		nats.MaxReconnects(-1), nats.IgnoreAuthErrorAbort(), nats.CustomReconnectDelay(reconnectDelay), nats.ReconnectBufSize(-1),
		nats.PingInterval(pingEvery), nats.MaxPingsOutstanding(2), nats.FlusherTimeout(pingEvery), nats.ReconnectOnFlusherError(),
	}
}

// pingEvery is the time between two pings of the server. After two pings without an answer the
// server counts as gone.
const pingEvery = 3 * time.Second

// reconnectDelay returns the pause before all servers are tried again: 200 ms at first and a second
// after some seconds. Up to half of the pause is added at random, so that not all programs come at
// once.
func reconnectDelay(attempts int) time.Duration {
	pause := 200 * time.Millisecond
	if attempts > 20 {
		pause = time.Second
	}
	return pause + rand.N(pause/2)
}

// check finds flags that do not go together.
func (n NATS) check() error {
	switch {
	case n.Context != "" && n.URL != "":
		return errors.New("--nats-context (NATS_CONTEXT) names servers of its own: leave --nats-url (NATS_URL) out, or the context")
	case n.Creds != "" && n.User != "":
		return errors.New("--nats-creds and --nats-user both say who this is: give one of them")
	case (n.Cert == "") != (n.Key == ""):
		return errors.New("--nats-cert and --nats-key belong together: give both")
	case n.Password != "" && n.User == "":
		return errors.New("--nats-password needs --nats-user")
	}
	return nil
}

// identity returns the options for who the program is and whom it trusts, from the flags.
func (n NATS) identity() (options []nats.Option) {
	if n.User != "" {
		options = append(options, nats.UserInfo(n.User, n.Password))
	}
	if n.Creds != "" {
		options = append(options, nats.UserCredentials(n.Creds))
	}
	if n.CA != "" {
		options = append(options, nats.RootCAs(n.CA))
	}
	if n.Cert != "" {
		options = append(options, nats.ClientCert(n.Cert, n.Key))
	}
	if n.InboxPrefix != "" {
		options = append(options, nats.CustomInboxPrefix(n.InboxPrefix))
	}
	return options
}

// hint tells the user what to check.
func hint(err error) string {
	switch {
	case errors.Is(err, nats.ErrAuthorization), errors.Is(err, nats.ErrAuthExpired), errors.Is(err, nats.ErrAuthRevoked):
		return ": give the user and password (--nats-user, --nats-password) or the credentials (--nats-creds) that the server knows"
	case strings.Contains(err.Error(), "x509:"), strings.Contains(err.Error(), "tls:"):
		return ": give the authority that signed the server's certificate (--nats-ca), and --nats-cert with --nats-key if it asks for yours"
	case errors.Is(err, nats.ErrNoServers):
		return ": start one with `go run ./cmd/worker --dev`, or give --nats-url (NATS_URL)"
	}
	return ""
}
