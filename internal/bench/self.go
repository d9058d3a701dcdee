package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// process is this program again, in one of the roles. It shares its memory with nobody, as in
// production.
type process struct {
	cmd   *exec.Cmd
	in    io.Writer // open as long as the suite lives
	out   *bufio.Reader
	ended chan struct{}
}

// roles are the roles that this program can have besides the suite. The first argument names the
// role, the second is the role's own. A role prints its first line when it has begun.
var roles = map[string]func(argument string){serveRole: serve, workRole: work, byHandRole: workByHand}

// startSelf starts a role. It returns when the role has begun, with the line that the role printed.
func startSelf(ctx context.Context, role, argument string, env []string) (p *process, begun []byte, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	cmd := exec.CommandContext(ctx, self, role, argument)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C goes to the suite only, which then stops the others
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	p = &process{cmd: cmd, in: in, out: bufio.NewReader(out), ended: make(chan struct{})}
	begun, err = p.out.ReadBytes('\n')
	go func() {
		_ = cmd.Wait()
		close(p.ended)
	}()
	if err != nil {
		p.stop()
		return nil, nil, fmt.Errorf("the process %q did not begin: %w", role, err)
	}
	return p, begun, nil
}

// during returns a context that ends with the process, so that nobody waits for the process in
// vain.
func (p *process) during(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, end := context.WithCancelCause(ctx)
	go func() {
		select {
		case <-p.ended:
			end(errors.New("the process has ended"))
		case <-ctx.Done():
		}
	}()
	return ctx, func() { end(nil) }
}

// stop ends the process, in order if possible.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(os.Interrupt)
	kill := time.AfterFunc(10*time.Second, func() { _ = p.cmd.Process.Kill() })
	defer kill.Stop()
	<-p.ended
}
