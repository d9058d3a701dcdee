package store

import (
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

var (
	// ErrFenced says that the partition has another epoch: somebody else is its owner now. The
	// former owner stops.
	ErrFenced = errors.New("another owner has taken over the partition")
	// ErrConflict says that the log is elsewhere than the commit assumed: somebody else wrote.
	// Reload and decide again.
	ErrConflict = errors.New("the log has moved on")
	// ErrRegressed says that the log ends before a position that it had come to: the database is an
	// older one. Forget what was read.
	ErrRegressed = errors.New("the log has gone back")
	// ErrDuplicate says that a receipt of one of the commands exists already. Look the receipts up
	// and leave those out.
	ErrDuplicate = errors.New("a command of the batch has a receipt already")
	// ErrMaintenance says that an operator's command has begun and is not finished. It keeps
	// workers out until then.
	ErrMaintenance = errors.New("the namespace is under maintenance")
)

// DataError says that the store cannot hold what one of the commands led to, such as a NUL
// character in a string. It does not say which command.
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

// HandlerError says that a projection failed on some of the events that it was given. It is not
// known on which of them if they are several.
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

// LargeError says that a load was given up because it has more than [PageBytes]. Load fewer
// aggregates, or fewer events of one.
type LargeError struct {
	// Events is how many of one aggregate's there was room for, 0 where several aggregates were
	// asked for.
	Events int
}

// Fits is how many events of the aggregate to ask for.
func (e *LargeError) Fits() int { return max(1, e.Events*3/4) }

func (e *LargeError) Error() string {
	return fmt.Sprintf("the histories have more than the %d bytes that are read at a time", PageBytes)
}

// SchemaError says that a newer program has changed the namespace's schema in a way that this
// program cannot work with.
type SchemaError struct {
	Namespace string
	// Version is that of the schema. LeastProgram is the version that a program must know to use
	// it, Known the newest that this program knows.
	Version, LeastProgram, Known int
}

func (e *SchemaError) Error() string {
	return fmt.Sprintf("namespace %q has version %d of the schema, which needs a program that knows version %d; this one knows %d: "+
		"deploy the release that migrated it, or a later one; the way back to this release is a backup of the database",
		e.Namespace, e.Version, e.LeastProgram, e.Known)
}

// Fault is an error of the store with its origin.
type Fault struct {
	Origin    Origin
	Condition Condition
	Err       error
}

func (f *Fault) Error() string { return f.Err.Error() }
func (f *Fault) Unwrap() error { return f.Err }

// RetryError is an error of a projection that asks for another try; see projections.Retry.
type RetryError struct{ Err error }

func (e *RetryError) Error() string { return e.Err.Error() }
func (e *RetryError) Unwrap() error { return e.Err }

// Judge tells what an error leads to. One that the store did not return is of the caller's own
// code, and refuses.
func Judge(err error) Verdict {
	fault, is := errors.AsType[*Fault](err)
	switch {
	case is && fault.Origin == UserCode && errors.As(err, new(*RetryError)):
		return Wait
	case is && fault.Origin != OwnSQL: // whatever else is in it
		return judgeRaised(judge(fault.Origin, stateOf(fault.Err), fault.Condition), fault)
	case errors.Is(err, ErrFenced):
		return Stop
	case errors.Is(err, ErrConflict), errors.Is(err, ErrDuplicate), errors.As(err, new(*RetryError)):
		return Wait
	case errors.As(err, new(*DataError)):
		return Halve
	case is:
		return judge(fault.Origin, stateOf(fault.Err), fault.Condition)
	}
	return Refuse
}

// judgeRaised corrects the verdict on an error of a projection's SQL that a function of the user's
// has raised, with whatever SQLSTATE: nothing is broken that a person could repair, and what asks
// for another try does not have it without an end.
func judgeRaised(v Verdict, f *Fault) Verdict {
	if f.Origin != UserSQL || f.Condition != Alive || !isRaised(f.Err) {
		return v
	}
	switch v {
	case Repair:
		return Refuse
	case Wait:
		return Slow
	default:
		return v
	}
}

// isRaised tells whether "raise" of PL/pgSQL is where an error comes from.
func isRaised(err error) bool {
	server := serverError(err)
	return server != nil && server.Routine == "exec_stmt_raise"
}

// Violated returns what Postgres says about the integrity constraint that err violates, and whether
// it violates one.
func Violated(err error) (message string, is bool) {
	var fault *Fault
	if !errors.As(err, &fault) || fault.Condition != Alive {
		return "", false
	}
	if server := serverError(fault.Err); server != nil && strings.HasPrefix(server.Code, "23") {
		return server.Message, true
	}
	return "", false
}

// serverError is what a server or a pooler said, nil if err is something else.
func serverError(err error) *pgconn.PgError {
	server, _ := errors.AsType[*pgconn.PgError](err)
	return server
}

// stateOf is the SQLSTATE of an error, "" for none.
func stateOf(err error) string {
	if server := serverError(err); server != nil {
		return server.Code
	}
	return ""
}
