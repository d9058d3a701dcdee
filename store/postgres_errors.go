package store

import (
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// SQLSTATEs; those of class ME are raised by the function "advance" of the migrations.
const (
	codeFenced          = "ME001"
	codeMoved           = "ME002"
	codeUniqueViolation = "23505"
	codeUndefinedTable  = "42P01"
	// of DDL: the role may not, and "create or replace view" cannot
	codeInsufficientPrivilege  = "42501"
	codeInvalidTableDefinition = "42P16"
	codeLockNotAvailable       = "55P03"
	codeBadUnicodeEscape       = "22P05"
	codeBadEncoding            = "22021"
	codeBadText                = "22P02"
	codeProtocolViolation      = "08P01" // a NUL character in a query of the simple protocol
)

// explain turns what Postgres said about one of our own statements into the errors of the package.
func (s *Postgres) explain(err error) error {
	var server *pgconn.PgError
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &server):
		return fmt.Errorf("commit: %w", err)
	case server.Code == codeFenced:
		return fmt.Errorf("%w: %s", ErrFenced, server.Message)
	case server.Code == codeMoved:
		return fmt.Errorf("%w: %s", ErrConflict, server.Message)
	case server.Code == codeUniqueViolation && s.owns("receipts", server):
		return fmt.Errorf("%w: %s", ErrDuplicate, server.Detail)
	case strings.HasPrefix(server.Code, "23") && s.owns("log", server): // whatever is wrong with its keys
		return fmt.Errorf("%w: %s", ErrConflict, server.Detail)
	case strings.HasPrefix(server.Code, "22"), strings.HasPrefix(server.Code, "54"), server.Code == codeProtocolViolation:
		return dataError(server)
	default:
		return fmt.Errorf("commit: %w", err)
	}
}

// owns tells whether the error is about a table of ours or, with event partitions, about one of its parts.
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

// isRefused tells whether the error is about something in the transaction, and not of the moment.
func isRefused(err error) bool { return err != nil && (!IsTransient(err) || isLocked(err)) }

// isLocked tells whether a lock was waited for in vain.
func isLocked(err error) bool {
	var server *pgconn.PgError
	return errors.As(err, &server) && server.Code == codeLockNotAvailable
}
