package faults

import (
	"cmp"
	"fmt"
	"os"
	"strings"
	"syscall"
)

// rules are what nats-servers allow. They may be changed while the servers run.
type rules struct {
	guarded     bool   // the servers know users, and refuse everybody else
	password    string // of the workers
	denied      string // what workers may not publish and not subscribe to; "" for nothing
	payload     int    // the largest message in bytes; 0 for the server's default
	connections int    // the most clients of a server; 0 for the server's default
}

const (
	// account is the account of all users of a guarded server.
	account = "FAULTS"
	// workerUser is the user of the workers. otherUser is the user of the harness and the clients.
	workerUser, otherUser = "worker", "other"
	otherPassword         = "other"
	// defaultPayload is the server's default limit for a message.
	defaultPayload = 1 << 20
)

// file writes the configuration of a server.
func (r rules) file(b *broker) string {
	var f strings.Builder
	fmt.Fprintf(&f, "server_name: %s\nhost: 127.0.0.1\nport: %d\njetstream { store_dir: %q }\n", b.name, b.port, b.dir)
	fmt.Fprintf(&f, "max_payload: %d\nmax_connections: %d\n", cmp.Or(r.payload, defaultPayload), cmp.Or(r.connections, 64<<10))
	if b.between > 0 {
		fmt.Fprintf(&f, "cluster { name: faults, host: 127.0.0.1, port: %d, no_advertise: true, routes: [%s] }\n", b.between, b.routes)
	}
	if r.guarded {
		denied := ""
		if r.denied != "" {
			denied = fmt.Sprintf(", permissions: { publish: { deny: [%[1]q] }, subscribe: { deny: [%[1]q] } }", r.denied)
		}
		fmt.Fprintf(&f, "accounts { %s: { jetstream: enabled, users: [\n{ user: %s, password: %q%s }\n{ user: %s, password: %q }\n] } }\n",
			account, workerUser, r.password, denied, otherUser, otherPassword)
	}
	return f.String()
}

// obey makes a server follow rules: from its start on, or now if it runs.
func (b *broker) obey(r rules) error {
	if err := os.WriteFile(b.dir+".conf", []byte(r.file(b)), 0o600); err != nil {
		return err
	}
	b.signal(syscall.SIGHUP)
	return nil
}
