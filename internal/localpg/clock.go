package localpg

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// SetClock sets the server's clock to the machine's clock plus offset, from now on. The server must
// have been started with [Options.Clock].
func (s *Server) SetClock(offset time.Duration) error {
	if !s.options.Clock {
		return errors.New("set the clock of a local Postgres: it was not started with Options.Clock")
	}
	file := s.clockFile()
	text := fmt.Appendf(nil, "%+.6f\n", offset.Seconds())
	if err := os.WriteFile(file+".new", text, 0o644); err != nil { //nolint:gosec // it is read by another user
		return err
	}
	return os.Rename(file+".new", file) // a concurrent reader finds either the old file or the new one
}

func (s *Server) clockFile() string { return filepath.Join(s.dir, "clock") }

// prepareClock finds the library that moves clocks, if a clock is wanted.
func (s *Server) prepareClock() error {
	if !s.options.Clock {
		return nil
	}
	if faketime() == "" {
		return errors.New("a local Postgres with a clock of its own needs libfaketime: ./setup test installs it")
	}
	return s.SetClock(0)
}

// faketime returns the path of the library that gives a program another clock, or "" if the library
// is not installed.
func faketime() string {
	found, _ := filepath.Glob("/usr/lib/*/faketime/libfaketimeMT.so.1") // Debian has it for one or more architectures
	if len(found) == 0 {
		return ""
	}
	return found[0]
}

// clockEnv returns the environment that makes the server's processes read the file whenever they
// look at the clock. Waiting times still follow the machine's clock.
func (s *Server) clockEnv() []string {
	if !s.options.Clock {
		return nil
	}
	return []string{"LD_PRELOAD=" + faketime(), "FAKETIME_TIMESTAMP_FILE=" + s.clockFile(), "FAKETIME_NO_CACHE=1",
		"FAKETIME_DONT_FAKE_MONOTONIC=1", "NO_FAKE_STAT=1"}
}
