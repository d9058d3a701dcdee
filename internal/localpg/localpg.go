package localpg

import (
	"bufio"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
)

// Options are the settings of a cluster.
type Options struct {
	// BinDir holds initdb, pg_ctl and postgres. The default is the newest version in
	// /usr/lib/postgresql or PATH.
	BinDir string
	// Dir is the directory of the cluster's data. It is created if missing, stays after Stop, and
	// is used again by the next Start. The default is a temporary directory, which Stop removes.
	Dir string
	// Unsafe turns off fsync: commits are quick, and lost if the machine fails. The default is a
	// durable cluster.
	Unsafe bool
	// Settings are parameters of the server, as name=value without spaces.
	Settings []string
	// TLS refuses connections without TLS. The URL then says which authority to trust.
	TLS bool
	// Clock gives the server a clock that [Server.SetClock] moves. It needs libfaketime, which
	// makes the server slower.
	Clock bool
}

// Server is a running cluster. Its methods may be called from any goroutine, one at a time.
type Server struct {
	url      string
	bin, dir string
	settings string
	options  Options
	kept     bool // true if the directory outlives the server
	user     *syscall.Credential
	stop     func() error
}

//go:embed keeper.sh
var keeper string

// Start makes a new cluster and returns when it accepts connections, typically after one or two
// seconds. It may have 200 connections at a time.
func Start(ctx context.Context, options Options) (*Server, error) {
	bin, err := binaries(options.BinDir)
	if err != nil {
		return nil, err
	}
	user, err := serverUser()
	if err != nil {
		return nil, err
	}
	s := &Server{bin: bin, options: options, user: user}
	password, err := s.makeDir(options.Dir)
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, errors.Join(err, s.removeDir())
	}
	s.settings = settings(port, options)
	query := "sslmode=disable"
	if options.TLS {
		var demand string
		if demand, query, err = demandTLS(s.dir, user); err != nil {
			return nil, errors.Join(err, s.removeDir())
		}
		s.settings += demand
	}
	s.url = fmt.Sprintf("postgres://postgres:%s@127.0.0.1:%d/postgres?%s", password, port, query)
	if err := s.prepareClock(); err != nil {
		return nil, errors.Join(err, s.removeDir())
	}
	if err := s.prepare(ctx); err != nil {
		return nil, fmt.Errorf("start a local Postgres: %w", err)
	}
	return s, nil
}

// prepare starts the cluster with the data in its directory, or makes new data. The file with the
// password gets its final name last, because data without that file come from an initdb that was
// interrupted.
func (s *Server) prepare(ctx context.Context) error {
	password, fresh := filepath.Join(s.dir, passwordFile), filepath.Join(s.dir, freshPasswordFile)
	if _, err := os.Stat(password); err == nil {
		return s.run(ctx, "pg_controldata")
	}
	if err := os.RemoveAll(s.data()); err != nil {
		return errors.Join(err, s.removeDir())
	}
	if err := s.run(ctx, "initdb", "-U", "postgres", "-A", "scram-sha-256", "--pwfile="+fresh, "-E", "UTF8", "--locale=C",
		"--no-sync"); err != nil {
		return err
	}
	return os.Rename(fresh, password)
}

// settings returns the server's command line.
func settings(port int, options Options) string {
	all := append([]string{fmt.Sprintf("port=%d", port), "listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=200"},
		options.Settings...)
	if options.Unsafe {
		all = append(all, "fsync=off", "synchronous_commit=off", "full_page_writes=off")
	}
	return "-c " + strings.Join(all, " -c ")
}

// run starts the keeper and waits until the keeper says that the cluster is ready. The keeper makes
// the data with a program of Postgres.
func (s *Server) run(ctx context.Context, program string, args ...string) error {
	atEnd := "remove"
	if s.kept {
		atEnd = "keep"
	}
	keeping := []string{"-c", keeper, "keeper", s.bin, s.dir, s.settings, atEnd, filepath.Join(s.bin, program), "-D", s.data()}
	cmd := s.command("/bin/sh", append(keeping, args...)...)
	alive, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return errors.Join(err, s.removeDir())
	}
	s.stop = sync.OnceValue(func() error {
		_ = s.Continue() // the server may be paused, or halted
		_ = alive.Close()
		_, _ = io.Copy(io.Discard, out)
		return errors.Join(cmd.Wait(), s.removeDir())
	})
	defer context.AfterFunc(ctx, func() { _ = out.Close() })()
	reader := bufio.NewReader(out)
	line, err := reader.ReadString('\n')
	if line == "ready\n" {
		return nil
	}
	rest, _ := io.ReadAll(reader)
	if ctx.Err() != nil {
		err = ctx.Err()
	} else if line != "" {
		err = errors.New(strings.TrimSpace(line + string(rest)))
	}
	return errors.Join(err, s.stop())
}

// URL is the connection string of the superuser postgres and the database postgres.
func (s *Server) URL() string { return s.url }

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// Stop ends the cluster and deletes everything except a directory given by [Options.Dir]. Calling
// it again does nothing.
func (s *Server) Stop() error { return s.stop() }

// Mode is a way in which a cluster goes down.
type Mode string

// The modes of [Server.Halt] and [Server.Restart].
const (
	// Fast ends all sessions, then shuts down in order.
	Fast Mode = "fast"
	// Immediate ends all processes at once, as a crash does; the next start recovers from the log.
	Immediate Mode = "immediate"
)

// Halt stops the server and keeps its data. Resume starts it again at the same URL.
func (s *Server) Halt(mode Mode) error { return s.control("stop", "-m", string(mode)) }

// Resume starts a halted server.
func (s *Server) Resume() error {
	return s.control("start", "-o", s.settings, "-l", filepath.Join(s.dir, "log"))
}

// Restart stops the server and starts it again.
func (s *Server) Restart(mode Mode) error {
	if err := s.Halt(mode); err != nil {
		return err
	}
	return s.Resume()
}

func (s *Server) control(action string, args ...string) error {
	args = append([]string{action, "-D", s.data(), "-w"}, args...)
	out, err := s.command(filepath.Join(s.bin, "pg_ctl"), args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("pg_ctl %s: %w: %s", action, err, out)
	}
	return nil
}

// command returns a command that runs as the server's user, out of reach of the terminal's signals.
func (s *Server) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir = s.dir
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"}, s.clockEnv()...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: s.user}
	return cmd
}

// freePort chooses a port below those that systems give to outgoing connections, so that the port
// is still free after a halt.
func freePort() (int, error) {
	var problem error
	for range 100 {
		port := 15000 + rand.IntN(15000)
		listener, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			return port, listener.Close()
		}
		problem = err
	}
	return 0, fmt.Errorf("no free port on 127.0.0.1: %w", problem)
}
