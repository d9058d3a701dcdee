package store

import (
	"io/fs"
	"strings"
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

// Knowing are the options of a program that knows other migrations.
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

// FirstStep is the program's own first migration.
func FirstStep() []byte {
	text, err := embedded.ReadFile("migrations/001_create.sql")
	if err != nil {
		panic(err)
	}
	return text
}

// CommitBy has commits begin with another function than advance, which is named with its schema.
func (s *Postgres) CommitBy(function string) *Postgres {
	s.sql.advance = strings.ReplaceAll(s.sql.advance, qualify(s.namespace, "maestro.advance("), function+"(")
	return s
}

// RenewPulse has the pulse make a new connection.
func (s *Postgres) RenewPulse() { s.pools.pulse.Reset() }

// GoesAlong tells whether a queued statement may go along with commits of others.
var GoesAlong = goesAlong
