package store

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

var (
	// ErrFenced says that the partition has another epoch: somebody else is its owner now. The former owner stops.
	ErrFenced = errors.New("another owner has taken over the partition")
	// ErrConflict says that the log is elsewhere than the commit assumed: somebody else wrote. Reload and decide again.
	ErrConflict = errors.New("the log has moved on")
	// ErrRegressed says that the log ends before a position that it had come to: the database is an older one. Forget what
	// was read.
	ErrRegressed = errors.New("the log has gone back")
	// ErrDuplicate says that a receipt of one of the commands exists already. Look the receipts up and leave those out.
	ErrDuplicate = errors.New("a command of the batch has a receipt already")
	// ErrMaintenance says that an operator's command has begun and is not finished. It keeps workers out until then.
	ErrMaintenance = errors.New("the namespace is under maintenance")
)

// errConnectionLost says that a projection could not finish because its connection ended.
var errConnectionLost = errors.New("the connection to Postgres was lost")

// DataError says that the store cannot hold what one of the commands led to, such as a NUL character in a string.
// It does not say which command.
type DataError struct {
	// Code is the SQLSTATE.
	Code    string
	Message string
	Err     error
}

func (e *DataError) Error() string { return e.Message }
func (e *DataError) Unwrap() error { return e.Err }

// StatementError says that one of a commit's statements failed.
type StatementError struct {
	// Index is its place in Commit.Statements.
	Index int
	Err   error
}

func (e *StatementError) Error() string { return e.Err.Error() }
func (e *StatementError) Unwrap() error { return e.Err }

// HandlerError says that a projection failed on some of the events that it was given. It is not known on which of them if they are several.
type HandlerError struct {
	// First is the index of the first of the events, Count how many they are.
	First, Count int
	Err          error
}

func (e *HandlerError) Error() string { return e.Err.Error() }
func (e *HandlerError) Unwrap() error { return e.Err }

// PartitionsError says that a namespace has another number of partitions than the one asked for.
type PartitionsError struct {
	Namespace        string
	Found, Requested int
}

func (e *PartitionsError) Error() string {
	return fmt.Sprintf("namespace %q has %[2]d partitions, not %[3]d: the number is fixed when a namespace is created; "+
		"ask for %[2]d (or leave it out), choose another namespace, or stop all workers and run `worker repartition --partitions %[3]d`",
		e.Namespace, e.Found, e.Requested)
}

// IsTransient tells whether an error is a fault of the moment (a lost connection, a server that restarts or is out of
// resources, a deadlock), so that the same call may succeed later.
func IsTransient(err error) bool {
	if err == nil || errors.Is(err, context.Canceled) {
		return false
	}
	if server, ok := errors.AsType[*pgconn.PgError](err); ok {
		return transientState(server.Code)
	}
	var dial *pgconn.ConnectError
	var network net.Error
	return errors.As(err, &dial) || errors.As(err, &network) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, errConnectionLost) || pgconn.SafeToRetry(err) || isBroken(err)
}

// transientState goes by the SQLSTATE, source: PostgreSQL documentation, appendix A. It must not take a mistake in a
// projection's SQL for a fault of the moment, or the partition would try it for ever.
func transientState(code string) bool {
	switch code {
	case "25006", // read-only transaction: the server has become a standby
		"25P03", "25P04", // idle in transaction too long, transaction too long
		"55006", "55P03": // object in use, lock not available
		return true
	case codeProtocolViolation:
		return false
	}
	if len(code) != 5 {
		return false
	}
	switch code[:2] {
	case "08", // connection exception
		"40", // transaction rollback: serialization failure, deadlock
		"53", // insufficient resources: disk full, out of memory, too many connections
		"57", // operator intervention: shutdown, crash, cancel
		"58", // system error: input or output
		"XX": // internal error
		return true
	}
	return false
}

// isBroken knows the errors of a connection that ended in the middle, which have no type of their own.
func isBroken(err error) bool {
	text := err.Error()
	for _, sign := range []string{"unexpected EOF", "conn closed", "closed pool", "connection reset", "broken pipe"} {
		if strings.Contains(text, sign) {
			return true
		}
	}
	return false
}
