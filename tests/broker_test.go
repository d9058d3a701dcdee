package tests

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/maestro-es/maestro/internal/localnats"
)

// broker is a nats-server.
type broker interface {
	URL() string
	Connect(t localnats.TB, options ...nats.Option) *nats.Conn
}

// brokerProcess is the nats-server of all tests that do not break it. It is built without the race
// detector and runs outside of the tests' process. The server itself is not tested. With the race
// detector it would be ten times as slow, and inside the tests' process it would wait for their
// work.
type brokerProcess struct {
	url string
	cmd *exec.Cmd
	end io.Closer
}

var sharedBroker = sync.OnceValues(func() (*brokerProcess, error) {
	path := filepath.Join(scratch, "broker")
	if out, err := exec.Command("go", "build", "-o", path, "./broker").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go build: %w\n%s", err, out)
	}
	dir, err := os.MkdirTemp(inMemory(), "maestro-tests-jetstream-")
	if err != nil {
		return nil, err
	}
	b := &brokerProcess{cmd: exec.Command(path, dir)}
	b.cmd.Stderr = os.Stderr
	if b.end, err = b.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := b.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := b.cmd.Start(); err != nil {
		return nil, err
	}
	atTheEnd = func() { _ = b.end.Close(); _ = b.cmd.Wait(); _ = os.RemoveAll(dir) }
	line, err := bufio.NewReader(out).ReadString('\n')
	b.url = strings.TrimSpace(line)
	return b, err
})

// atTheEnd stops the shared nats-server, if it was started.
var atTheEnd = func() {}

func (b *brokerProcess) URL() string { return b.url }

func (b *brokerProcess) Connect(t localnats.TB, options ...nats.Option) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(b.url, append([]nats.Option{nats.Name(t.Name()), nats.MaxReconnects(-1),
		nats.ReconnectWait(10 * time.Millisecond), nats.ReconnectJitter(0, 0)}, options...)...)
	if err != nil {
		t.Fatalf("connect to %s: %v", b.url, err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// inMemory returns a folder in memory, or "" if there is none with enough room. The disk is for the
// servers that tests break. While several Postgres flush to the disk, the creation of each stream
// and consumer waits for it, and all of JetStream waits too.
func inMemory() string {
	const memory, room = "/dev/shm", 4 << 30
	var about syscall.Statfs_t
	if syscall.Statfs(memory, &about) != nil || about.Bavail*uint64(about.Bsize) < room {
		return ""
	}
	return memory
}
