package localpg

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// SetClock moves the server's clock by an offset from the machine's, from now on. The server was
// started with [Options.Clock].
func (s *Server) SetClock(offset time.Duration) error {
	if !s.options.Clock {
		return errors.New("set the clock of a local Postgres: it was not started with Options.Clock")
	}
	file := s.clockFile()
	text := fmt.Appendf(nil, "%+.6f\n", offset.Seconds())
	if err := os.WriteFile(file+".new", text, 0o644); err != nil { //nolint:gosec // it is read by another user
		return err
	}
	return os.Rename(file+".new", file) // whoever reads it meanwhile finds one or the other
}

func (s *Server) clockFile() string { return filepath.Join(s.dir, "clock") }

// prepareClock finds what moves clocks, where that is wanted.
func (s *Server) prepareClock() error {
	if !s.options.Clock {
		return nil
	}
	if faketime() == "" {
		return errors.New("a local Postgres with a clock of its own needs libfaketime: ./setup test installs it")
	}
	return s.SetClock(0)
}

// faketime is the library that gives a program another clock, "" where it is not installed.
func faketime() string {
	found, _ := filepath.Glob("/usr/lib/*/faketime/libfaketimeMT.so.1") // Debian has it for one or more architectures
	if len(found) == 0 {
		return ""
	}
	return found[0]
}

// clockEnv has the server's processes ask the file at each look at the clock. Times of waiting are
// the machine's.
func (s *Server) clockEnv() []string {
	if !s.options.Clock {
		return nil
	}
	return []string{"LD_PRELOAD=" + faketime(), "FAKETIME_TIMESTAMP_FILE=" + s.clockFile(), "FAKETIME_NO_CACHE=1",
		"FAKETIME_DONT_FAKE_MONOTONIC=1", "NO_FAKE_STAT=1"}
}
