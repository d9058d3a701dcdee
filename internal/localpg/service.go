package localpg

import (
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"sync"
)

// Service is an address that leads to one server at a time, like a service name in front of a
// primary and its standbys. A connection stays with the server that it was made to.
type Service struct {
	listener net.Listener
	url      string

	mu     sync.Mutex
	target string
	open   map[net.Conn]bool
}

// NewService returns a service that leads to the server to, until the test ends.
func NewService(t TB, to *Server) *Service {
	t.Helper()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Service{listener: listener, url: at(to.URL(), listener.Addr().String()), open: map[net.Conn]bool{}}
	s.PointTo(to)
	var serving sync.WaitGroup
	serving.Go(func() { s.serve(&serving) })
	t.Cleanup(func() {
		_ = listener.Close()
		s.mu.Lock()
		for conn := range s.open {
			_ = conn.Close()
		}
		s.mu.Unlock()
		serving.Wait()
	})
	return s
}

// URL is the connection string that goes through the service.
func (s *Service) URL() string { return s.url }

// PointTo leads new connections to a server.
func (s *Service) PointTo(to *Server) {
	u, err := url.Parse(to.URL())
	if err != nil {
		panic(err) // it is one of ours
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.target = u.Host
}

func (s *Service) serve(serving *sync.WaitGroup) {
	for {
		in, err := s.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			serving.Go(func() { s.connect(in) })
		}
	}
}

func (s *Service) connect(in net.Conn) {
	s.mu.Lock()
	target := s.target
	s.open[in] = true
	s.mu.Unlock()
	defer func() {
		_ = in.Close()
		s.mu.Lock()
		delete(s.open, in)
		s.mu.Unlock()
	}()
	out, err := (&net.Dialer{}).DialContext(context.Background(), "tcp4", target)
	if err != nil {
		return
	}
	var copying sync.WaitGroup
	for _, way := range [][2]net.Conn{{in, out}, {out, in}} {
		copying.Go(func() {
			_, _ = io.Copy(way[0], way[1])
			_ = in.Close()
			_ = out.Close()
		})
	}
	copying.Wait()
}
