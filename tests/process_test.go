package tests

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// patience bounds every wait of the tests. It is far longer than anything takes on a busy machine,
// so a wait fails only if its event will never happen.
const patience = 2 * time.Minute

// process is a program that was started. What it writes is shown when the test fails.
type process struct {
	t       *testing.T
	name    string
	cmd     *exec.Cmd
	out     output // standard output and error together
	stdout  bytes.Buffer
	done    chan struct{}
	waitErr error
}

// start starts a program with an environment of its own. A program that still runs when the test
// ends is killed.
func start(t *testing.T, name string, env, args []string, stdin io.Reader) *process {
	t.Helper()
	p := &process{t: t, name: name, done: make(chan struct{}), cmd: exec.Command(program(t, name), args...)}
	p.out.changed = make(chan struct{})
	p.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "TMPDIR=" + t.TempDir(),
		"GORACE=halt_on_error=1"}, env...)
	p.cmd.Stdin = stdin
	p.cmd.Stdout, p.cmd.Stderr = io.MultiWriter(&p.stdout, &p.out), &p.out
	require.NoError(t, p.cmd.Start())
	go func() {
		p.waitErr = p.cmd.Wait()
		close(p.done)
		p.out.close()
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.done
		if strings.Contains(p.out.String(), "DATA RACE") {
			t.Errorf("%s has a data race", name)
		}
		if t.Failed() {
			t.Logf("%s %s said:\n%s", name, strings.Join(args, " "), p.out.String())
		}
	})
	return p
}

func (p *process) signal(s os.Signal) {
	p.t.Helper()
	require.NoError(p.t, p.cmd.Process.Signal(s))
}

// kill ends the process like a power failure would, and waits until the process is gone.
func (p *process) kill() {
	p.t.Helper()
	p.signal(syscall.SIGKILL)
	p.status()
}

// status waits for the end of the process and returns its status. -1 means that a signal ended it.
func (p *process) status() int {
	p.t.Helper()
	return p.statusWithin(patience)
}

func (p *process) statusWithin(limit time.Duration) int {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(limit):
		p.t.Fatalf("%s does not end", p.name)
	}
	var exit *exec.ExitError
	if p.waitErr != nil && !errors.As(p.waitErr, &exit) {
		p.t.Fatalf("%s: %v", p.name, p.waitErr)
	}
	return p.cmd.ProcessState.ExitCode()
}

// finish waits for the end of the process and returns its exit status and all its output.
func (p *process) finish() (status int, out string) {
	p.t.Helper()
	status = p.status()
	return status, p.out.String()
}

// says waits until the process has written a text. It returns false if the process ended without
// writing it.
func (p *process) says(text string) bool {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	found, err := p.out.await(ctx, text)
	if err != nil {
		p.t.Fatalf("%s does not say %q", p.name, text)
	}
	return found
}

// output collects the output of a process and wakes those who wait for a text.
type output struct {
	mu      sync.Mutex
	buffer  bytes.Buffer
	closed  bool
	changed chan struct{} // closed and replaced at every change
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.buffer.Write(b)
	o.wake()
	return len(b), nil
}

func (o *output) wake() {
	close(o.changed)
	o.changed = make(chan struct{})
}

func (o *output) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	o.wake()
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buffer.String()
}

// await waits for a text. found is false if the output ended first.
func (o *output) await(ctx context.Context, text string) (found bool, err error) {
	for {
		o.mu.Lock()
		found, ended, changed := bytes.Contains(o.buffer.Bytes(), []byte(text)), o.closed, o.changed
		o.mu.Unlock()
		if found || ended {
			return found, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
}
