package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// SQLSTATEs. Functions of the migrations raise those of class ME.
const (
	codeFenced          = "ME001"
	codeMoved           = "ME002"
	codeNotLent         = "ME003"
	codeMigrating       = "ME011"
	codeAhead           = "ME012"
	codeReadOnly        = "25006"
	codeUniqueViolation = "23505"
	codeUndefinedTable  = "42P01"
	// of DDL: the role lacks a privilege; "create or replace view" cannot make the change
	codeInsufficientPrivilege  = "42501"
	codeInvalidTableDefinition = "42P16"
	codeDeadlock               = "40P01"
	codeLockNotAvailable       = "55P03"
	codeBadUnicodeEscape       = "22P05"
	codeBadEncoding            = "22021"
	codeBadText                = "22P02"
	codeProtocolViolation      = "08P01"
)

// own wraps an error of our own SQL, or of the connection, when there is no connection to inspect.
func own(err error) error {
	switch {
	case err == nil, errors.As(err, new(*Fault)):
		return err
	case !errors.As(err, new(*pgconn.ConnectError)) && serverError(err) != nil && !endsSession(serverError(err)):
		return &Fault{Origin: OwnSQL, Err: err}
	case errors.Is(err, context.DeadlineExceeded):
		return &Fault{Origin: Connection, Condition: Expired, Err: err}
	}
	return &Fault{Origin: Connection, Condition: Lost, Err: err}
}

// fault gives an error that came over a connection its origin. If something is wrong with the
// connection, fault closes it.
func fault(ctx context.Context, conn *pgx.Conn, from Origin, err error) *Fault {
	f := faultOf(ctx, conn, from, err)
	if Judge(f) == Evict {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
		defer cancel()
		_ = conn.Close(ctx)
	}
	return f
}

// faultOf gives an error its origin: that of the work that used the connection, or Connection if
// the connection is gone.
func faultOf(ctx context.Context, conn *pgx.Conn, from Origin, err error) *Fault {
	server := serverError(err)
	switch {
	case server != nil && !endsSession(server) && !conn.IsClosed():
		return &Fault{Origin: from, Err: err}
	case ctx.Err() != nil:
		return &Fault{Origin: from, Condition: Expired, Err: err}
	case conn.IsClosed():
		return &Fault{Origin: Connection, Condition: Lost, Err: err}
	}
	return &Fault{Origin: from, Err: err}
}

// endsSession tells whether the server or the pooler ended the session with this error.
func endsSession(err *pgconn.PgError) bool {
	return err.SeverityUnlocalized == "FATAL" || err.SeverityUnlocalized == "PANIC" || err.Severity == "FATAL"
}

// explain turns Postgres's error about one of our own statements into the errors of the package. c
// is the commit that may have caused the error. It may be nil.
func (s *Postgres) explain(c *Commit, err error) error {
	var fault *Fault
	server := serverError(err)
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &fault), fault.Origin != OwnSQL, fault.Condition != Alive, server == nil:
		return fmt.Errorf("commit: %w", err)
	case server.Code == codeFenced:
		return fmt.Errorf("%w: %s", ErrFenced, server.Message)
	case server.Code == codeMoved:
		return fmt.Errorf("%w: %s", ErrConflict, server.Message)
	case server.Code == codeUniqueViolation && s.owns("receipts", server):
		return fmt.Errorf("%w: %s", ErrDuplicate, server.Detail)
	case strings.HasPrefix(server.Code, "23") && s.owns("log", server): // whichever key refused
		return fmt.Errorf("%w: %s", ErrConflict, server.Detail)
	case strings.HasPrefix(server.Code, "22"), strings.HasPrefix(server.Code, "54"),
		server.Code == codeProtocolViolation && c.hasNUL(): // the simple protocol reports a NUL this way
		return &Fault{Origin: OwnSQL, Err: dataError(server)}
	default:
		return fmt.Errorf("commit: %w", err)
	}
}

// owns tells whether the error is about a table of ours. With event partitions, that includes its
// parts.
func (s *Postgres) owns(table string, err *pgconn.PgError) bool {
	return err.SchemaName == s.namespace && (err.TableName == table || strings.HasPrefix(err.TableName, table+"_"))
}

func dataError(server *pgconn.PgError) *DataError {
	reason := server.Message
	if server.Detail != "" {
		reason += " (" + server.Detail + ")"
	}
	hint := ""
	switch server.Code {
	case codeBadUnicodeEscape, codeBadEncoding, codeProtocolViolation:
		hint = ": a string must be valid UTF-8 without the NUL character (\\u0000)"
	case codeBadText:
		hint = ": it must be valid JSON"
	}
	return &DataError{Code: server.Code, Message: "Postgres cannot store the data" + hint + ": " + reason, Err: server}
}

// hasNUL tells whether a text of the commit contains a NUL character.
func (c *Commit) hasNUL() bool {
	if c == nil {
		return false
	}
	has := func(texts ...string) bool {
		return slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(text, "\x00") })
	}
	return slices.ContainsFunc(c.Events, func(e Event) bool {
		return has(e.Aggregate.Type, e.Aggregate.ID, e.Type, string(e.Body), e.Metadata.CommandID)
	}) || slices.ContainsFunc(c.Receipts, func(r Receipt) bool {
		return has(r.Aggregate.Type, r.Aggregate.ID, r.CommandID)
	}) || slices.ContainsFunc(c.DeadLetters, func(d DeadLetter) bool {
		return has(d.ID, d.Subject, d.CommandID, d.Code, d.Message)
	})
}

// separates tells whether an error is due to one of the commits of a transaction, and not to the
// moment. Such commits should be made separately.
func separates(err error) bool {
	var fault *Fault
	switch {
	case err == nil:
		return false
	case !errors.As(err, &fault):
		return true // the batch could not even be sent
	case fault.Condition == Lost:
		return !isCut(err)
	case fault.Condition != Alive:
		return false
	}
	return fault.Origin != OwnSQL || isLocked(err) || stateOf(err) == codeMoved || !Judge(err).Passes()
}

// isCut tells whether an error means that the connection has ended. Any other error over a closed
// connection means that an argument cannot be encoded, because pgx closes a connection in the
// middle of a batch that it cannot build. A commit made step by step shows whose argument that is.
func isCut(err error) bool {
	return serverError(err) != nil || errors.As(err, new(net.Error)) || errors.Is(err, net.ErrClosed) || errors.Is(err, io.EOF) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) ||
		pgconn.SafeToRetry(err)
}

// isLocked tells whether a lock was not free in time.
func isLocked(err error) bool { return stateOf(err) == codeLockNotAvailable }
