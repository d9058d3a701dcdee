package faults

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// worker is a place for a worker process, with its own wires. While the worker is wanted, a process
// that ends is replaced, like by an orchestrator.
type worker struct {
	t             *testing.T
	program, name string
	dir           string
	env           []string
	http          string // its address, if it has one
	nats          []*proxy
	postgres      *proxy
	clock         string // the file with the offset of its clock, "" if the clock cannot be moved

	mu       sync.Mutex
	starts   int
	node     string
	cmd      *exec.Cmd
	ended    chan struct{} // closed when the process has ended
	wanted   bool
	crashes  []string // the output of processes that ended by themselves with an error
	restarts sync.WaitGroup
}

// start brings up a process unless there is one.
func (w *worker) start() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wanted = true
	if w.cmd == nil {
		w.launch()
	}
}

// launch starts a process. The lock is held.
func (w *worker) launch() {
	w.starts++
	w.node = fmt.Sprintf("%s-%d", w.name, w.starts)
	log, err := os.Create(filepath.Join(w.dir, w.node+".log"))
	if err != nil {
		w.t.Errorf("log of %s: %v", w.node, err)
		return
	}
	cmd := exec.Command(w.program)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "GORACE=halt_on_error=1",
		"MAESTRO_NODE=" + w.node}, w.env...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		w.t.Errorf("start %s: %v", w.node, err)
		_ = log.Close()
		return
	}
	ended := make(chan struct{})
	w.cmd, w.ended = cmd, ended
	w.restarts.Go(func() {
		err := cmd.Wait()
		_ = log.Close()
		close(ended)
		w.replace(cmd, log.Name(), err)
	})
}

// replace waits for the end of a process and starts another.
func (w *worker) replace(cmd *exec.Cmd, log string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cmd != cmd {
		return // the test ended the process on purpose
	}
	w.cmd = nil
	said, _ := os.ReadFile(log)
	lines := strings.Split(strings.TrimSpace(string(said)), "\n")
	w.crashes = append(w.crashes, fmt.Sprintf("%s: %v: %s", w.node, err, lines[len(lines)-1]))
	if strings.Contains(string(said), "DATA RACE") || strings.Contains(string(said), "panic:") {
		w.t.Errorf("%s crashed:\n%s", w.node, said)
	}
	time.AfterFunc(300*time.Millisecond, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.wanted && w.cmd == nil {
			w.launch()
		}
	})
}

// signal sends a signal to the process, if there is one.
func (w *worker) signal(s syscall.Signal) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cmd != nil {
		_ = w.cmd.Process.Signal(s)
	}
}

// end ends the process with a signal, and uses force if the signal has no effect in time.
func (w *worker) end(s syscall.Signal, patience time.Duration) (clean bool) {
	w.mu.Lock()
	cmd, ended := w.cmd, w.ended
	w.cmd, w.wanted = nil, false
	w.mu.Unlock()
	if cmd == nil {
		return true
	}
	_ = cmd.Process.Signal(s)
	select {
	case <-ended:
		return s == syscall.SIGKILL || cmd.ProcessState.Success()
	case <-time.After(patience):
		_ = cmd.Process.Kill()
		<-ended
		return false
	}
}

func (w *worker) current() (node string, pid int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cmd == nil {
		return "", 0
	}
	return w.node, w.cmd.Process.Pid
}

// hold keeps back the data between the worker and the NATS servers.
func (w *worker) hold(directions ...int) {
	for _, p := range w.nats {
		p.hold(directions...)
	}
}

// heal repairs the wires.
func (w *worker) heal() {
	for _, p := range w.nats {
		p.heal()
	}
	w.postgres.heal()
}
