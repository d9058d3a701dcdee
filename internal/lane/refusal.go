package lane

import (
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/store"
)

// Codes of the errors in outcomes that do not come from the user's aggregates.
const (
	CodeMalformed           = "malformed"
	CodeUnknownAggregate    = "unknown_aggregate"
	CodeUnknownCommand      = "unknown_command"
	CodeInvalidPayload      = "invalid_payload"
	CodeTooLarge            = "too_large"
	CodeDeadlineExceeded    = "deadline_exceeded"
	CodeSequenceMismatch    = "sequence_mismatch"
	CodeUnregisteredEvent   = "unregistered_event"
	CodeInvalidEvent        = "invalid_event"
	CodePanic               = "panic"
	CodeHandlerFailed       = "handler_failed"
	CodeConstraintViolated  = "constraint_violated"
	CodeProjectionFailed    = "projection_failed"
	CodeUnreadableAggregate = "unreadable_aggregate"
	CodeUnavailable         = "unavailable"

	// codeStateUnavailable comes with a committed command whose state could not be shown.
	codeStateUnavailable = "state_unavailable"
)

// Refusal is the outcome of a command that did not take effect.
type Refusal struct {
	Status store.Status
	Code   string
	// Message is for people.
	Message string
	// Err is the error behind it, if there is one.
	Err error
}

// maxErrorBytes bounds a code and a message, so that an answer always fits into a message and its headers.
const maxErrorBytes = 4096

func (r *Refusal) error() *store.Error {
	return &store.Error{Code: printable(clip(r.Code)), Message: printable(clip(r.Message))}
}

// cause is the error behind the refusal, or what the client is told.
func (r *Refusal) cause() error {
	if r.Err != nil {
		return r.Err
	}
	return r.error()
}

// Fail is the refusal of a command that could not be handled.
func Fail(code, format string, args ...any) *Refusal {
	return &Refusal{Status: store.Failed, Code: code, Message: fmt.Sprintf(format, args...)}
}

// reject is the refusal of a command by a rule.
func reject(code, format string, args ...any) *Refusal {
	return &Refusal{Status: store.Rejected, Code: code, Message: fmt.Sprintf(format, args...)}
}

// refusalOf is a command's error as its outcome.
func refusalOf(err error) *Refusal {
	r := classify(err)
	r.Err = err
	return r
}

// classify is the table from a command's error to its outcome.
func classify(err error) *Refusal {
	var (
		rejection    *aggregate.Rejection
		unknown      *aggregate.UnknownCommandError
		payload      *aggregate.PayloadError
		unregistered *aggregate.UnregisteredEventError
		event        *aggregate.EventError
		panicked     *aggregate.PanicError
		projected    *projectionError
		data         *store.DataError
		mismatch     *aggregate.SequenceMismatchError
	)
	switch {
	case errors.As(err, &rejection):
		return reject(rejection.Code, "%s", rejection.Message)
	case errors.As(err, &mismatch):
		return reject(CodeSequenceMismatch, "%s", err)
	case errors.As(err, &projected):
		return refusalOfProjection(projected)
	case errors.As(err, &unknown):
		return Fail(CodeUnknownCommand, "%s", err)
	case errors.As(err, &payload):
		return Fail(CodeInvalidPayload, "%s", err)
	case errors.As(err, &unregistered):
		return Fail(CodeUnregisteredEvent, "%s", err)
	case errors.As(err, &event):
		return Fail(CodeInvalidEvent, "%s", err)
	case errors.As(err, &data):
		return Fail(CodeInvalidEvent, "%s", data.Message)
	case errors.As(err, &panicked):
		return Fail(CodePanic, "%s", err)
	case constraintIn(err) != nil:
		return reject(CodeConstraintViolated, "%s", constraintIn(err).Message)
	default:
		return Fail(CodeHandlerFailed, "%s", err)
	}
}

// refusalOfProjection: a violated constraint of a read model is a rule (a name that is taken), anything else a fault.
func refusalOfProjection(err *projectionError) *Refusal {
	if violated := constraintIn(err); violated != nil {
		return reject(CodeConstraintViolated, "%s: %s", err.projection, violated.Message)
	}
	return Fail(CodeProjectionFailed, "%s", err.err)
}

// constraintIn is the violation of an integrity constraint behind an error, SQLSTATE class 23, nil if there is none.
func constraintIn(err error) *pgconn.PgError {
	if server, ok := errors.AsType[*pgconn.PgError](err); ok && strings.HasPrefix(server.Code, "23") {
		return server
	}
	return nil
}
