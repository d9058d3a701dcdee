package store

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// The name of a service may lead to another server from one moment to the next. For a while, it
// may lead to the wrong server: a demoted primary, which can be read but not written, or a primary
// that was replaced and does not know it. Existing connections do not notice. The store therefore
// asks every new connection, and the pulse's connection, which server it belongs to.

// errReadOnly says that the server takes no writes.
var errReadOnly = errors.New("this Postgres takes no writes")

// server identifies a server. It also tells a primary before a failover from the one after it,
// because each promotion begins a timeline.
type server struct {
	system, timeline string
}

// identity needs no privileges. A standby does not tell its timeline, which does not matter.
const identity = readOnlySetting + `, pg_catalog.pg_is_in_recovery()::text,
	(select system_identifier::text from pg_catalog.pg_control_system()),
	case when not pg_catalog.pg_is_in_recovery()
		then pg_catalog.substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8) end`

// anonymous is the query for servers that hide their identity, as some rented ones do.
const anonymous = readOnlySetting + `, pg_catalog.pg_is_in_recovery()::text, '', ''`

// identify asks a connection which server it belongs to. If the server takes no writes, the error
// wraps errReadOnly.
func identify(ctx context.Context, conn *pgconn.PgConn) (server, error) {
	answer, err := ask(ctx, conn, identity)
	if slices.Contains([]string{"0A", "42", "55"}, firstTwo(stateOf(err))) { // not supported, not allowed, not there
		answer, err = ask(ctx, conn, anonymous)
	}
	switch {
	case err != nil:
		return server{}, fmt.Errorf("ask Postgres which server it is: %w", err)
	case answer[1] == "true":
		return server{}, fmt.Errorf("%w: it is a standby, or was demoted", errReadOnly)
	case answer[0] == "on":
		return server{}, fmt.Errorf("%w: default_transaction_read_only is on for the server, the database or the role", errReadOnly)
	}
	return server{system: answer[2], timeline: answer[3]}, nil
}

func firstTwo(state string) string { return state[:min(2, len(state))] }

// ask runs a query that returns one row of texts.
func ask(ctx context.Context, conn *pgconn.PgConn, sql string) (row [4]string, err error) {
	results, err := conn.Exec(ctx, sql).ReadAll()
	if err != nil {
		return row, err
	}
	if len(results) != 1 || len(results[0].Rows) != 1 || len(results[0].Rows[0]) != len(row) {
		return row, errors.New("not understood")
	}
	for i, value := range results[0].Rows[0] {
		row[i] = string(value)
	}
	return row, nil
}

// current is the server that the connections belong to. It is the zero value before the first
// connection.
type current struct {
	mu    sync.Mutex
	known server
}

// admit checks a new connection. If its server takes no writes, admit refuses it, and pgx tries
// the next host of the connection string, if there is one.
func (p *pools) admit(ctx context.Context, conn *pgconn.PgConn) error {
	found, err := identify(ctx, conn)
	if err != nil {
		return err
	}
	p.links.belongs(conn.Conn(), found)
	p.saw(found)
	return nil
}

// saw notes the server that a connection belongs to. If the server has changed, no connection to
// the former one is used again.
func (p *pools) saw(found server) {
	p.server.mu.Lock()
	former := p.server.known
	p.server.known = found
	p.server.mu.Unlock()
	if former != found && former != (server{}) {
		p.logger.Warn("Postgres is another server than before: all connections to the former are closed",
			"system", found.system, "timeline", found.timeline, "former_system", former.system, "former_timeline", former.timeline)
		p.leave(found)
	}
}

// leave closes all connections except those to the given server. Calls under way on them end at
// once. Their outcome is unknown, and their callers find it out over new connections.
func (p *pools) leave(but server) {
	p.work.Reset()
	p.control.Reset()
	p.links.cut(but)
}

// leaveReadOnly makes a pool drop a connection after the server refused a statement because the
// transaction is read-only.
func leaveReadOnly(c *pgxpool.Config) {
	const key = "maestro: read-only"
	onError := c.ConnConfig.OnPgError
	c.ConnConfig.OnPgError = func(conn *pgconn.PgConn, err *pgconn.PgError) bool {
		if err.Code == codeReadOnly {
			conn.CustomData()[key] = true
		}
		if onError != nil {
			return onError(conn, err)
		}
		return !strings.EqualFold(err.Severity, "FATAL")
	}
	prepare, acquire := c.PrepareConn, c.BeforeAcquire //nolint:staticcheck // a user may have set the older one
	c.PrepareConn = func(ctx context.Context, conn *pgx.Conn) (bool, error) {
		switch {
		case conn.PgConn().CustomData()[key] != nil:
			return false, nil
		case prepare != nil:
			return prepare(ctx, conn)
		default:
			return acquire == nil || acquire(ctx, conn), nil
		}
	}
}

// links are the network connections below those of the pools, each with the server at the other
// end.
type links struct {
	mu  sync.Mutex
	all map[*link]server
}

type link struct {
	net.Conn
	of *links
}

// Close implements net.Conn.
func (l *link) Close() error {
	l.of.mu.Lock()
	delete(l.of.all, l)
	l.of.mu.Unlock()
	return l.Conn.Close()
}

func (l *links) dial(dial pgconn.DialFunc) pgconn.DialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		made := &link{Conn: conn, of: l}
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.all == nil {
			l.all = map[*link]server{}
		}
		l.all[made] = server{}
		return made, nil
	}
}

// is notes the server at the other end of a link.
func (l *links) is(at *link, to server) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, open := l.all[at]; open {
		l.all[at] = to
	}
}

// belongs notes the server at the other end of a connection. The connection may be wrapped, for
// example by TLS.
func (l *links) belongs(conn net.Conn, to server) {
	for {
		switch c := conn.(type) {
		case *link:
			l.is(c, to)
			return
		case interface{ NetConn() net.Conn }:
			conn = c.NetConn()
		default:
			return
		}
	}
}

// cut closes all connections except those to the given server. It spares connections whose server
// is not known yet, because they are about to be asked.
func (l *links) cut(but server) {
	l.mu.Lock()
	var closing []*link
	for link, to := range l.all {
		if to != but && to != (server{}) {
			closing = append(closing, link)
		}
	}
	l.mu.Unlock()
	for _, link := range closing {
		_ = link.Close()
	}
}
