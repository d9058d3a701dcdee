package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Projections may do anything with a transaction that they have in hand. The store therefore lends
// them the transaction. Only this transaction has a token, and ending it without the store undoes
// it. The store also removes everything that projections leave in the session. It does so in the
// exchange that ends the transaction, because a pooler may give the session to another client
// right after that.

// undoTimeout bounds the rollback of a transaction. A rollback fails only if the connection fails.
const undoTimeout = 5 * time.Second

// These are mistakes of a projection that returns no error. Postgres reports them as well, but
// only when it is asked.
var (
	errIgnored = errors.New("an error of Postgres was ignored, and nothing that follows it in the transaction is kept: return the error, " +
		"or run what may fail in a savepoint (tx.Begin)")
	errEnded = errors.New("the transaction that it was given has ended: a projection must not commit it or roll it back; " +
		"where something is to be undone, return an error or use a savepoint (tx.Begin)")
	errNotTheirs = errors.New("the transaction is that of the events: a projection neither commits it nor rolls it back")
	errRowsOpen  = errors.New("rows were left open: read them to their end or close them before you return")
)

// CheckLent returns what is wrong with a transaction after a projection had it in hand, as far as
// the state of the session shows. It does not ask the server.
func CheckLent(tx pgx.Tx) error {
	if tx == nil { // in a test of a projection that needs none
		return nil
	}
	conn := tx.Conn().PgConn()
	switch status := conn.TxStatus(); {
	case !marks, conn.IsClosed():
		return nil
	case conn.IsBusy():
		return errRowsOpen
	case status == 'E':
		return errIgnored
	case status == 'I':
		return errEnded
	}
	return nil
}

// lend marks the transaction of a commit as ours. It prepares the statement that takes the
// transaction back before the projections run, because they may change the role.
func (s *Postgres) lend(ctx context.Context, conn *pgx.Conn, batch *pgx.Batch, partition int) (token string, err error) {
	if s.prepares {
		if _, err := conn.Prepare(ctx, s.sql.takeBack, s.sql.takeBack); err != nil {
			return "", fault(ctx, conn, OwnSQL, err)
		}
	}
	token = strconv.FormatUint(rand.Uint64(), 36) //nolint:gosec // it keeps accidents apart
	if marks {
		batch.Queue(s.sql.lend, partition, token)
	}
	return token, nil
}

// takeBack commits a transaction that projections had in hand, if it is still the one that was
// lent.
func (s *Postgres) takeBack(ctx context.Context, conn *pgxpool.Conn, token string) error {
	var batch pgx.Batch
	batch.Queue(`set session authorization default`) // this also resets the role
	if marks {
		batch.Queue(s.sql.takeBack, token, s.pools.durability.Load())
	}
	batch.Queue(`commit`)
	ending := batch.Len()
	s.queueReset(&batch)
	results := conn.SendBatch(ctx, &batch)
	for range ending {
		if _, err := results.Exec(); err != nil {
			_ = results.Close()
			return fault(ctx, conn.Conn(), UserSQL, fmt.Errorf("commit after the projections: %w", err))
		}
	}
	s.afterReset(ctx, conn.Conn(), results.Close())
	return nil
}

// undo rolls back what is left of a transaction that projections had in hand.
func (s *Postgres) undo(ctx context.Context, conn *pgxpool.Conn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer cancel()
	var batch pgx.Batch
	batch.Queue(`rollback`)
	s.queueReset(&batch)
	s.afterReset(ctx, conn.Conn(), conn.SendBatch(ctx, &batch).Close())
}

// asFresh gives a session the state of a fresh one, except for its prepared statements. The store
// cannot use `discard all`, because that cannot run in a pipeline.
var asFresh = []string{
	`close all`, `set session authorization default`, `reset all`, `unlisten *`, `select pg_catalog.pg_advisory_unlock_all()`,
	`discard temp`, `discard sequences`,
}

// setStartup sets the parameters that the session began with. Behind a pooler, "reset all" does
// not restore them.
const setStartup = `select pg_catalog.set_config(p.name, p.value, false)
	from rows from (pg_catalog.unnest($1::pg_catalog.text[]), pg_catalog.unnest($2::pg_catalog.text[])) as p (name, value)`

func (s *Postgres) queueReset(batch *pgx.Batch) {
	if !resets {
		return
	}
	for _, sql := range asFresh {
		batch.Queue(sql)
	}
	batch.Queue(setStartup, s.startup.names, s.startup.values)
}

// afterReset closes a connection that could not be reset. Otherwise it runs the pool's hook for
// fresh connections.
func (s *Postgres) afterReset(ctx context.Context, conn *pgx.Conn, err error) {
	if err == nil && resets && s.afterConnect != nil {
		err = s.afterConnect(ctx, conn)
	}
	if err != nil {
		_ = conn.Close(ctx)
	}
}

// passed are the parameters, in small letters, that poolers set for each client. All other
// parameters belong to the session.
var passed = []string{"application_name", "client_encoding", "datestyle", "standard_conforming_strings", "timezone"}

// startup has the parameters that sessions begin with, as far as a pooler sets them.
type startup struct{ names, values []string }

func startupOf(params map[string]string) (s startup) {
	for name, value := range params {
		if slices.Contains(passed, strings.ToLower(name)) {
			s.names, s.values = append(s.names, name), append(s.values, value)
		}
	}
	return s
}
