package deploy

import (
	"bytes"
	"context"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// patience bounds every wait. It is far longer than anything takes, so a wait fails only if its
// event will never happen.
const patience = 90 * time.Second

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for !is() {
		select {
		case <-look.C:
		case <-ctx.Done():
			t.Fatal("waited in vain: ", what)
		}
	}
}

// process is a program that runs. What it writes is shown when the test fails.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	done chan struct{}
	out  output
}

// start starts a program with an environment of its own. A program that still runs when the test
// ends is killed.
func start(t *testing.T, cmd *exec.Cmd, environment ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: cmd, done: make(chan struct{}), out: output{changed: make(chan struct{})}}
	cmd.Env = append(cmd.Env, environment...)
	cmd.Stdout, cmd.Stderr = &p.out, &p.out
	require.NoError(t, cmd.Start())
	go func() {
		_ = cmd.Wait() // the status is in the process's state
		close(p.done)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-p.done
		if t.Failed() {
			t.Logf("%s said:\n%s", strings.Join(cmd.Args, " "), p.out.String())
		}
	})
	return p
}

// startWorker starts a worker and returns when it is at work.
func startWorker(t *testing.T, environment ...string) *process {
	t.Helper()
	p := start(t, exec.Command(program(t, "worker")), append(environment, "MAESTRO_HTTP=")...)
	p.says("msg=ready")
	return p
}

// publish runs publisher with arguments and returns its exit status and its output.
func publish(t *testing.T, environment []string, args ...string) (status int, out string) {
	t.Helper()
	return start(t, exec.Command(program(t, "publisher"), args...), environment...).finish()
}

// says waits until the process has written a text.
func (p *process) says(text string) {
	p.t.Helper()
	timeout := time.After(patience)
	for {
		found, changed := p.out.contains(text)
		if found {
			return
		}
		select {
		case <-changed:
		case <-p.done:
			if found, _ := p.out.contains(text); !found {
				p.t.Fatalf("%s ended without saying %q", p.cmd.Path, text)
			}
			return
		case <-timeout:
			p.t.Fatalf("%s does not say %q", p.cmd.Path, text)
		}
	}
}

// finish waits for the end of the process.
func (p *process) finish() (status int, out string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	select {
	case <-p.done:
	case <-ctx.Done():
		p.t.Fatalf("%s does not end", p.cmd.Path)
	}
	return p.cmd.ProcessState.ExitCode(), p.out.String()
}

// stop ends the process like Kubernetes does.
func (p *process) stop() {
	p.t.Helper()
	require.NoError(p.t, p.cmd.Process.Signal(syscall.SIGTERM))
	status, out := p.finish()
	require.Equal(p.t, 0, status, out)
}

// output collects the output of a process and wakes those who wait for it.
type output struct {
	mu      sync.Mutex
	buffer  bytes.Buffer
	changed chan struct{} // closed and replaced at every change
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.changed)
	o.changed = make(chan struct{})
	return o.buffer.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buffer.String()
}

func (o *output) contains(text string) (bool, <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return bytes.Contains(o.buffer.Bytes(), []byte(text)), o.changed
}
