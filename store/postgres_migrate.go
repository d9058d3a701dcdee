package store

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Migrate creates a namespace or brings it up to date. Many programs may call it at the same
// moment, also through a connection pooler in transaction mode (PgBouncer). The role needs the
// privilege to create the schema, or must own the schema if it exists.
//
// A step that waits for a lock holds up everybody who comes after it. The step therefore gives up
// soon. Migrate logs this and tries again until ctx ends. A namespace with a newer schema stays as
// it is: see [SchemaError].
func Migrate(ctx context.Context, pool *pgxpool.Pool, o Options) error {
	o = o.withDefaults()
	found, err := prepare(ctx, pool, o)
	if err != nil {
		return err
	}
	return found.check(o)
}

// prepare returns the settings of a namespace. If needed, it first creates the namespace or brings
// it up to date.
func prepare(ctx context.Context, pool *pgxpool.Pool, o Options) (settings, error) {
	if err := o.check(); err != nil {
		return settings{}, err
	}
	var t turn
	for {
		found, err := readSettings(ctx, pool, o.Namespace)
		if err != nil || found.version >= len(o.schema()) {
			return found, err
		}
		if err := migrate(ctx, pool, o, found, t.lockTimeout()); err == nil {
			t.tries = 0
		} else if !t.comes(ctx, o, err) {
			return found, fmt.Errorf("migrate namespace %q: %w", o.Namespace, own(err))
		}
	}
}

// migrate makes the next step.
func migrate(ctx context.Context, pool *pgxpool.Pool, o Options, found settings, lockTimeout time.Duration) error {
	if found.version == 0 {
		found = o.divided()
	}
	step, err := o.schema()[found.version].sql(o.Namespace, found)
	if err == nil {
		_, err = pool.Exec(ctx, alone(o.Namespace, found.version, lockTimeout, step))
	}
	return err
}

// The first wait for a lock is short, because commits wait behind it. Later waits are longer,
// because Postgres stops autovacuum only for a session that has waited for a second.
const (
	shortestLockTimeout = 250 * time.Millisecond
	longestLockTimeout  = 2 * time.Second
	longestPause        = 5 * time.Second
)

// turn counts the tries of a step and waits between them.
type turn struct{ tries int }

func (t *turn) lockTimeout() time.Duration {
	return min(shortestLockTimeout<<min(t.tries, 8), longestLockTimeout)
}

// comes waits before another try. It returns false if there must not be another.
func (t *turn) comes(ctx context.Context, o Options, err error) bool {
	pause := t.lockTimeout() / 2
	switch stateOf(err) {
	case codeAhead: // another program has made the step
		return true
	case codeMigrating:
		t.tries = 0
	case codeLockNotAvailable, codeDeadlock:
		o.Logger.Warn("the schema is not up to date yet: a step waits for a lock that somebody holds, such as a long transaction. "+
			"It has given way and is tried again", "namespace", o.Namespace, "tries", t.tries+1, "waited", t.lockTimeout(), "error", err)
		t.tries++
		pause = min(4*t.lockTimeout(), longestPause)
	default:
		return false
	}
	select {
	case <-ctx.Done():
		return false
	case <-time.After(pause/2 + rand.N(pause)):
		return true
	}
}

// MigrationSQL returns the SQL that creates a namespace from nothing, as one transaction. People
// may read it, or run it themselves.
func MigrationSQL(o Options) (string, error) {
	o = o.withDefaults()
	if err := o.check(); err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "begin;\n\ncreate schema if not exists %s;\n", pgx.Identifier{o.Namespace}.Sanitize())
	for _, s := range o.schema() {
		sql, err := s.sql(o.Namespace, o.divided())
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "\n-- %s\n\n%s", s.name, sql)
	}
	b.WriteString("\ncommit;\n")
	return b.String(), nil
}
