package store

import (
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

var (
	// ErrFenced says that the partition has another epoch, because it has another owner now. The
	// former owner must stop.
	ErrFenced = errors.New("another owner has taken over the partition")
	// ErrConflict says that the log is not where the commit assumed, because somebody else wrote.
	// Reload and decide again.
	ErrConflict = errors.New("the log has moved on")
	// ErrRegressed says that the log ends before a position that it had reached, because the database
	// was replaced by an older one. Forget everything read from it.
	ErrRegressed = errors.New("the log has gone back")
	// ErrDuplicate says that one of the commands has a receipt already. Look the receipts up and
	// leave those commands out.
	ErrDuplicate = errors.New("a command of the batch has a receipt already")
	// ErrMaintenance says that an operator's command has begun and is not finished. Until it is
	// finished, workers cannot use the namespace.
	ErrMaintenance = errors.New("the namespace is under maintenance")
)

// DataError says that the store cannot hold the data of one of the commands, such as a string with
// a NUL character. The error does not say which command.
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
	// Index is the place of the statement in Commit.Statements.
	Index int
	Err   error
}

func (e *StatementError) Error() string { return e.Err.Error() }
func (e *StatementError) Unwrap() error { return e.Err }

// HandlerError says that a projection failed on one of the events that it was given. If there are
// several events, nobody knows on which.
type HandlerError struct {
	// First is the index of the first of these events. Count is their number.
	First, Count int
	Err          error
}

func (e *HandlerError) Error() string { return e.Err.Error() }
func (e *HandlerError) Unwrap() error { return e.Err }

// PartitionsError says that a namespace does not have the requested number of partitions.
type PartitionsError struct {
	Namespace        string
	Found, Requested int
}

func (e *PartitionsError) Error() string {
	return fmt.Sprintf("namespace %q has %[2]d partitions, not %[3]d: the number is fixed when a namespace is created; "+
		"ask for %[2]d (or leave it out), choose another namespace, or stop all workers and run `worker repartition --partitions %[3]d`",
		e.Namespace, e.Found, e.Requested)
}

// LargeError says that a load was given up because it exceeds [PageBytes]. Load fewer aggregates,
// or fewer events of one.
type LargeError struct {
	// Events is how many events of the one aggregate fit. It is 0 if the load was for several
	// aggregates.
	Events int
}

// Fits returns how many events of the aggregate to ask for.
func (e *LargeError) Fits() int { return max(1, e.Events*3/4) }

func (e *LargeError) Error() string {
	return fmt.Sprintf("the histories have more than the %d bytes that are read at a time", PageBytes)
}

// SchemaError says that a newer program has changed the namespace's schema in a way that this
// program cannot work with.
type SchemaError struct {
	Namespace string
	// Version is the version of the schema. LeastProgram is the version that a program must know to
	// use the schema. Known is the newest version that this program knows.
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

// RetryError is an error of a projection that asks for another try. See projections.Retry.
type RetryError struct{ Err error }

func (e *RetryError) Error() string { return e.Err.Error() }
func (e *RetryError) Unwrap() error { return e.Err }

// Judge tells what an error leads to. An error that the store did not return comes from the
// caller's own code, and leads to [Refuse].
func Judge(err error) Verdict {
	fault, is := errors.AsType[*Fault](err)
	switch {
	case is && fault.Origin == UserCode && errors.As(err, new(*RetryError)):
		return Wait
	case is && fault.Origin != OwnSQL: // whatever other errors it wraps
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

// judgeRaised corrects the verdict on an error that a user's function raised in a projection's
// SQL. The function may raise any SQLSTATE. Such an error does not mean that something is broken,
// so Repair becomes Refuse. Nor may it ask for another try forever, so Wait becomes Slow.
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

// isRaised tells whether "raise" of PL/pgSQL caused the error.
func isRaised(err error) bool {
	server := serverError(err)
	return server != nil && server.Routine == "exec_stmt_raise"
}

// Violated returns Postgres's message if err violates an integrity constraint, and whether it
// does.
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

// serverError returns the error that a server or a pooler reported, or nil if err is another
// error.
func serverError(err error) *pgconn.PgError {
	server, _ := errors.AsType[*pgconn.PgError](err)
	return server
}

// stateOf returns the SQLSTATE of an error, or "" if it has none.
func stateOf(err error) string {
	if server := serverError(err); server != nil {
		return server.Code
	}
	return ""
}
