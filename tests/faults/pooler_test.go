package faults

import (
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

	"github.com/stretchr/testify/require"
)

// pooler is a PgBouncer process in transaction mode, which comes back at the same port.
type pooler struct {
	t    *testing.T
	dir  string
	port int
	as   *syscall.Credential

	mu  sync.Mutex
	cmd *exec.Cmd
}

// poolerSettings: a query waits for a connection no longer than faults last, and few share many.
const poolerSettings = `[databases]
* = host=%s port=%s
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = scram-sha-256
auth_file = %s/users
pool_mode = transaction
default_pool_size = 20
max_client_conn = 500
query_wait_timeout = 2
server_login_retry = 1
server_connect_timeout = 2
ignore_startup_parameters = extra_float_digits
`

// startPooler starts a pooler before the server at an address, for users with their passwords.
func startPooler(t *testing.T, address string, users map[string]string) *pooler {
	t.Helper()
	p := &pooler{t: t, dir: t.TempDir(), port: freePort(t)}
	host, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	var list strings.Builder
	for name, password := range users {
		fmt.Fprintf(&list, "%q %q\n", name, password)
	}
	require.NoError(t, os.WriteFile(filepath.Join(p.dir, "users"), []byte(list.String()), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(p.dir, "ini"), fmt.Appendf(nil, poolerSettings, host, port, p.port, p.dir), 0o600))
	p.becomeUser()
	p.start()
	t.Cleanup(func() { p.stop(syscall.SIGKILL) })
	return p
}

// becomeUser has root run the pooler as the user postgres: it refuses to be root.
func (p *pooler) becomeUser() {
	if os.Geteuid() != 0 {
		return
	}
	account, err := user.Lookup("postgres")
	require.NoError(p.t, err)
	uid, _ := strconv.Atoi(account.Uid)
	gid, _ := strconv.Atoi(account.Gid)
	p.as = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	for _, name := range []string{"users", "ini"} {
		require.NoError(p.t, os.Chown(filepath.Join(p.dir, name), uid, gid))
	}
	for dir := p.dir; len(dir) > len(os.TempDir()); dir = filepath.Dir(dir) { // it must get there
		require.NoError(p.t, os.Chmod(dir, 0o755)) //nolint:gosec // nothing in there is anybody's secret
	}
}

func (p *pooler) address() string { return "127.0.0.1:" + strconv.Itoa(p.port) }

func (p *pooler) start() {
	p.mu.Lock()
	defer p.mu.Unlock()
	path := "/usr/sbin/pgbouncer" // Debian's place, which is not in everybody's PATH
	if found, err := exec.LookPath("pgbouncer"); err == nil {
		path = found
	}
	p.cmd = exec.Command(path, filepath.Join(p.dir, "ini"))
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.as, Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		p.t.Errorf("start PgBouncer: %v: ./setup installs it", err)
		p.cmd = nil
	}
}

// stop ends the pooler and waits until it is gone.
func (p *pooler) stop(s syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Signal(s)
	force := time.AfterFunc(5*time.Second, func() { _ = p.cmd.Process.Kill() })
	_ = p.cmd.Wait()
	force.Stop()
	p.cmd = nil
}

// pause has the pooler hand out no connections: what asks for one waits, and is refused after query_wait_timeout. resume ends that.
func (p *pooler) pause()  { p.signal(syscall.SIGUSR1) }
func (p *pooler) resume() { p.signal(syscall.SIGUSR2) }

func (p *pooler) signal(s syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd != nil {
		_ = p.cmd.Process.Signal(s)
	}
}
