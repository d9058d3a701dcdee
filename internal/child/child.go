// Package child runs programs as child processes that do not outlive this process.
//
// A command that is ready to start comes in. A place for one process at a time comes out. The
// process can be ended and started again. The package knows nothing of what the program does.
package child

import (
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// Place is a place for one child process. The zero value is empty. Its methods may be called from
// any goroutine.
type Place struct {
	mu      sync.Mutex
	process *exec.Cmd
	ended   chan struct{}
}

// Start starts a program in the place. It does nothing if a process is there. The kernel kills the
// process when this process ends, however this process ends.
func (p *Place) Start(command *exec.Cmd) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.process != nil {
		return nil
	}
	ended, err := start(command)
	if err == nil {
		p.process, p.ended = command, ended
	}
	return err
}

// start starts a program and closes ended when the program has ended. The kernel regards the thread
// that started a child as its parent, so the signal of Pdeathsig comes when that thread ends. Go
// ends threads. A goroutine therefore keeps the thread for as long as the child lives.
func start(command *exec.Cmd) (ended chan struct{}, err error) {
	if command.SysProcAttr == nil {
		command.SysProcAttr = &syscall.SysProcAttr{}
	}
	command.SysProcAttr.Pdeathsig = syscall.SIGKILL
	started := make(chan error, 1)
	ended = make(chan struct{})
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := command.Start()
		started <- err
		if err == nil {
			_ = command.Wait()
		}
		close(ended)
	}()
	return ended, <-started
}

// Signal sends the process a signal, if there is one.
func (p *Place) Signal(s syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.process != nil {
		_ = p.process.Process.Signal(s)
	}
}

// Ended tells whether there was a process that ended by itself. The place is then empty.
func (p *Place) Ended() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.process == nil {
		return false
	}
	select {
	case <-p.ended:
		p.process = nil
		return true
	default:
		return false
	}
}

// Stop ends the process with a signal and waits until the process is gone. After patience it uses
// force. Stop does nothing if there is no process.
func (p *Place) Stop(s syscall.Signal, patience time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.process == nil {
		return
	}
	_ = p.process.Process.Signal(s)
	force := time.AfterFunc(patience, func() { _ = p.process.Process.Kill() })
	<-p.ended
	force.Stop()
	p.process = nil
}
