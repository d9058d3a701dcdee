// Package localnats runs a real nats-server with JetStream inside the process, for tests, the demo,
// the benchmarks and worker --dev.
//
// A folder and a port come in. A URL to connect to goes out. The package never reads configuration
// files, handles no signals, and keeps the server's defaults, the interval of fsync among them.
package localnats

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// Options say where a server listens and where it keeps its streams.
type Options struct {
	// Dir is the folder of JetStream's files. It is required, and is created if missing.
	Dir string
	// Host is the address to listen on, by default 127.0.0.1; Port is the port, 0 for a free one.
	Host string
	Port int
	// MaxPayload is the largest message in bytes, by default nats-server's 1 MiB.
	MaxPayload int32
	// Logger gets the server's messages; notices come at debug level. By default nothing is logged.
	Logger *slog.Logger
}

// Server is a running nats-server. It is safe for concurrent use.
type Server struct {
	options Options

	mu      sync.Mutex
	running *server.Server // nil when stopped
}

// readyTimeout bounds how long a server may take to open its streams and its port.
const readyTimeout = 30 * time.Second

// Start starts a server and returns when it takes connections.
func Start(o Options) (*Server, error) {
	if o.Dir == "" {
		return nil, errors.New("start nats-server: Options.Dir is empty: name a folder for JetStream's files")
	}
	o.Host = cmp.Or(o.Host, "127.0.0.1")
	if o.Port == 0 {
		port, err := freePort(o.Host)
		if err != nil {
			return nil, err
		}
		o.Port = port
	}
	s := &Server{options: o}
	if err := s.Restart(); err != nil {
		return nil, err
	}
	return s, nil
}

// URL is where clients connect. It stays the same through restarts.
func (s *Server) URL() string {
	return "nats://" + net.JoinHostPort(s.options.Host, strconv.Itoa(s.options.Port))
}

// Stop shuts the server down and returns when its port is free and its files are written. Stopping
// twice is fine.
func (s *Server) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stop()
}

// Restart stops the server if it runs, and starts it again on the same port and folder.
func (s *Server) Restart() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stop()
	return s.start()
}

func (s *Server) stop() {
	if s.running == nil {
		return
	}
	s.running.Shutdown()
	s.running.WaitForShutdown()
	s.running = nil
}

// SetMaxPayload changes the largest message in bytes while the server runs, like a reload of the
// configuration. Connected clients are not told.
func (s *Server) SetMaxPayload(bytes int32) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.options.MaxPayload = bytes
	return s.running.ReloadOptions(s.settings())
}

// settings returns the server's options.
func (s *Server) settings() *server.Options {
	return &server.Options{
		ServerName:             "localnats",
		Host:                   s.options.Host,
		Port:                   s.options.Port,
		MaxPayload:             s.options.MaxPayload,
		JetStream:              true,
		StoreDir:               s.options.Dir,
		NoSigs:                 true,
		DisableJetStreamBanner: true,
	}
}

func (s *Server) start() error {
	running, err := server.NewServer(s.settings())
	if err != nil {
		return fmt.Errorf("start nats-server: %w", err)
	}
	log := &serverLog{to: s.options.Logger}
	running.SetLoggerV2(log, false, false, false)
	running.Start()
	s.running = running
	if fatal := log.fatal.Load(); fatal != nil {
		s.stop()
		return fmt.Errorf("start nats-server on %s with streams in %s: %s", s.URL(), s.options.Dir, *fatal)
	}
	if !running.ReadyForConnections(readyTimeout) {
		s.stop()
		return fmt.Errorf("start nats-server: %s takes no connections after %s", s.URL(), readyTimeout)
	}
	return nil
}

// freePort finds a free port below those that systems give to outgoing connections (from 32768 on),
// so that no outgoing connection takes the port while the server is stopped for a moment.
func freePort(host string) (port int, err error) {
	for range 100 {
		port = 10_000 + rand.IntN(22_000)
		var l net.Listener
		if l, err = net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port))); err == nil {
			return port, l.Close()
		}
	}
	return 0, fmt.Errorf("find a free port on %s: %w", host, err)
}
