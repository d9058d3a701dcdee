package localnats

import "github.com/nats-io/nats-server/v2/server"

// Disconnect closes the connections of all clients, like a network that fails for a moment. The
// server goes on.
func (s *Server) Disconnect() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running == nil {
		return nil
	}
	connections, err := s.running.Connz(&server.ConnzOptions{Limit: 1 << 16})
	if err != nil {
		return err
	}
	for _, c := range connections.Conns {
		_ = s.running.DisconnectClientByID(c.Cid) // a client that is gone already is disconnected too
	}
	return nil
}
