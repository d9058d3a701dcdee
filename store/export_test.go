package store

import (
	"io/fs"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Patient makes commits wait for a transaction under way, however long it takes.
func (s *Postgres) Patient() *Postgres {
	s.groups.patience = time.Hour
	return s
}

// Waiting returns how many commits wait for a transaction.
func (s *Postgres) Waiting() int {
	s.groups.mu.Lock()
	defer s.groups.mu.Unlock()
	return len(s.groups.waiting)
}

// Work returns the pool of commits and reads.
func (s *Postgres) Work() *pgxpool.Pool { return s.pool }

// Contend makes a read model count as contended.
func (s *Postgres) Contend(m *ReadModel) {
	s.contention.noticed(m, &pgconn.PgError{Code: codeDeadlock})
}

// Knowing returns the options of a program that knows other migrations.
func (o Options) Knowing(migrations fs.FS) Options {
	var err error
	if o.steps, err = readSteps(migrations); err != nil {
		panic(err)
	}
	return o
}

// ReadSteps checks migrations.
func ReadSteps(migrations fs.FS) error {
	_, err := readSteps(migrations)
	return err
}

// FirstStep returns the program's own first migration.
func FirstStep() []byte {
	text, err := embedded.ReadFile("migrations/001_create.sql")
	if err != nil {
		panic(err)
	}
	return text
}

// CommitBy makes commits call another function in place of advance. function includes its schema.
func (s *Postgres) CommitBy(function string) *Postgres {
	s.sql.advance = strings.ReplaceAll(s.sql.advance, qualify(s.namespace, "maestro.advance("), function+"(")
	return s
}

// RenewPulse makes the pulse open a new connection.
func (s *Postgres) RenewPulse() { s.pools.pulse.Reset() }

// GoesAlong tells whether a queued statement may share a transaction with the commits of others.
var GoesAlong = goesAlong
