package store

import (
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Patient has commits wait for a transaction under way, however long it takes.
func (s *Postgres) Patient() *Postgres {
	s.groups.patience = time.Hour
	return s
}

// Waiting is how many commits wait for a transaction.
func (s *Postgres) Waiting() int {
	s.groups.mu.Lock()
	defer s.groups.mu.Unlock()
	return len(s.groups.waiting)
}

// Work is the pool of commits and reads.
func (s *Postgres) Work() *pgxpool.Pool { return s.pool }

// Contend has a read model count as contended.
func (s *Postgres) Contend(m *ReadModel) {
	s.contention.noticed(m, &pgconn.PgError{Code: codeDeadlock})
}
