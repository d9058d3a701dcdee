// Package child runs programs as child processes that do not outlive this process.
//
// What comes in is a command that is ready to start. What comes out is a place for one process at a
// time, which can be ended and started again. The package knows nothing of what the program does.
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

// Start starts a program in the place. It does nothing while a process is there. The kernel kills
// the process when this one ends, in whatever way it ends.
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

// start starts a program and closes ended when it has ended. The kernel takes the thread that
// started a child for its parent: the signal of Pdeathsig comes when that thread ends, and Go ends
// threads. So a goroutine keeps the thread for as long as the child lives.
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

// Ended tells whether there was a process that has ended by itself. The place is empty then.
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

// Stop ends the process with a signal, by force if that takes longer than patience, and waits until
// the process is gone. It does nothing where there is none.
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
