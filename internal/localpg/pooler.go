package localpg

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/maestro-es/maestro/internal/child"
)

// Pooler is a PgBouncer process in transaction mode. After a restart it has the same port.
type Pooler struct {
	t       testing.TB
	dir     string
	port    int
	as      *syscall.Credential
	process child.Place
	says    lastLines
}

// poolerSettings make a query wait for a connection for at most two seconds. Many clients share few
// connections.
const poolerSettings = `[databases]
* = host=%s port=%s
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = scram-sha-256
auth_file = %s/users
pool_mode = transaction
default_pool_size = %d
max_client_conn = 500
query_wait_timeout = 2
server_login_retry = 1
server_connect_timeout = 2
ignore_startup_parameters = extra_float_digits
`

// StartPooler starts a pooler before the server at an address, for users with their passwords. The
// pooler has size connections to each database for each user, and ends with the test.
func StartPooler(t testing.TB, address string, size int, users map[string]string) *Pooler {
	t.Helper()
	p := &Pooler{t: t, dir: t.TempDir()}
	host, port, err := net.SplitHostPort(address)
	p.must(err)
	p.port, err = freePort()
	p.must(err)
	var list strings.Builder
	for name, password := range users {
		fmt.Fprintf(&list, "%q %q\n", name, password)
	}
	p.must(os.WriteFile(filepath.Join(p.dir, "users"), []byte(list.String()), 0o600))
	p.must(os.WriteFile(filepath.Join(p.dir, "ini"), fmt.Appendf(nil, poolerSettings, host, port, p.port, p.dir, size), 0o600))
	p.becomeUser()
	p.Start()
	t.Cleanup(func() { p.Stop(syscall.SIGKILL) })
	return p
}

func (p *Pooler) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

// becomeUser makes root run the pooler as the user postgres, because the pooler refuses to be root.
func (p *Pooler) becomeUser() {
	if os.Geteuid() != 0 {
		return
	}
	account, err := user.Lookup("postgres")
	p.must(err)
	uid, _ := strconv.Atoi(account.Uid)
	gid, _ := strconv.Atoi(account.Gid)
	p.as = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	for _, name := range []string{"users", "ini"} {
		p.must(os.Chown(filepath.Join(p.dir, name), uid, gid))
	}
	for dir := p.dir; len(dir) > len(os.TempDir()); dir = filepath.Dir(dir) { // it must get there
		p.must(os.Chmod(dir, 0o755)) //nolint:gosec // nothing in there is anybody's secret
	}
}

// Address is where the pooler listens.
func (p *Pooler) Address() string { return "127.0.0.1:" + strconv.Itoa(p.port) }

// Start starts the pooler again after [Pooler.Stop], and returns when it listens.
func (p *Pooler) Start() {
	path := "/usr/sbin/pgbouncer" // Debian's place, which is not in every PATH
	if found, err := exec.LookPath("pgbouncer"); err == nil {
		path = found
	}
	cmd := exec.Command(path, filepath.Join(p.dir, "ini"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.as}
	cmd.Stderr = &p.says
	if err := p.process.Start(cmd); err != nil {
		p.t.Errorf("start PgBouncer: %v: ./setup test installs it", err)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), poolerStart)
	defer cancel()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for ctx.Err() == nil {
		if conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", p.Address()); err == nil {
			_ = conn.Close()
			return
		}
		<-look.C
	}
	p.t.Errorf("PgBouncer does not listen on %s", p.Address())
}

// poolerStart is how long a pooler may take until it listens.
const poolerStart = 10 * time.Second

// Stop ends the pooler and waits until it is gone.
func (p *Pooler) Stop(s syscall.Signal) { p.process.Stop(s, 5*time.Second) }

// Revive restarts a pooler that has ended by itself, as a supervisor would, and returns the
// pooler's last words. It returns nothing if the pooler runs.
func (p *Pooler) Revive() (said string) {
	if !p.process.Ended() {
		return ""
	}
	said = "PgBouncer has ended: " + p.says.String()
	p.Start()
	return said
}

// lastLines keeps the end of the text that is written to it.
type lastLines struct {
	mu   sync.Mutex
	text []byte
}

const keptBytes = 2000

// Write adds b and keeps the end of everything written.
func (l *lastLines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, b...)
	l.text = l.text[max(0, len(l.text)-keptBytes):]
	return len(b), nil
}

func (l *lastLines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.text)
}

// Pause makes the pooler hand out no connections. A client that asks for one waits, and is refused
// after two seconds.
func (p *Pooler) Pause() { p.process.Signal(syscall.SIGUSR1) }

// Resume ends a pause.
func (p *Pooler) Resume() { p.process.Signal(syscall.SIGUSR2) }
