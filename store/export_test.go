package store

// Waiting is how many commits wait for a transaction.
func (s *Postgres) Waiting() int {
	s.groups.mu.Lock()
	defer s.groups.mu.Unlock()
	return len(s.groups.waiting)
}
