package localpg

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// Pause stops all processes of the server where they are. Connections stay open, and nobody
// answers. Continue lets the processes go on.
func (s *Server) Pause() error {
	postmaster, err := s.postmaster()
	if err != nil {
		return err
	}
	if err := syscall.Kill(postmaster, syscall.SIGSTOP); err != nil { // first, so that it starts no more children
		return fmt.Errorf("pause Postgres: %w", err)
	}
	return signal(children(postmaster), syscall.SIGSTOP)
}

// Continue lets a paused server go on.
func (s *Server) Continue() error {
	postmaster, err := s.postmaster()
	if err != nil {
		return err
	}
	return signal(append(children(postmaster), postmaster), syscall.SIGCONT)
}

// postmaster returns the process that all other processes of a running server descend from.
func (s *Server) postmaster() (int, error) {
	content, err := os.ReadFile(filepath.Join(s.data(), "postmaster.pid"))
	if err != nil {
		return 0, fmt.Errorf("the server does not run: %w", err)
	}
	line, _, _ := strings.Cut(string(content), "\n")
	return strconv.Atoi(line)
}

func signal(processes []int, signal syscall.Signal) error {
	var errs []error
	for _, p := range processes {
		if err := syscall.Kill(p, signal); !errors.Is(err, syscall.ESRCH) { // it has ended meanwhile
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// children returns the processes that a process has started.
func children(of int) (found []int) {
	paths, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range paths {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended meanwhile
		}
		process, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		rest := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:]) // the name before it may contain anything
		if len(rest) > 1 && slices.Equal(rest[1], []byte(strconv.Itoa(of))) {
			found = append(found, process)
		}
	}
	return found
}
