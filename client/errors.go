package client

import (
	"errors"
	"fmt"

	"github.com/maestro-es/maestro/protocol"
)

// ErrInvalid says that the request cannot be sent. Nothing was sent.
var ErrInvalid = errors.New("invalid")

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrInvalid, fmt.Errorf(format, args...))
}

// UnknownOutcomeError says that a command was sent and no answer came. The command may or may not
// have been handled. Sending it again with the same id is safe and gives the outcome.
type UnknownOutcomeError struct {
	CommandID string
	Err       error
}

func (e *UnknownOutcomeError) Error() string {
	return fmt.Sprintf("the outcome of command %s is unknown (%s): send it again with the same id, it takes effect once",
		e.CommandID, e.Err)
}

func (e *UnknownOutcomeError) Unwrap() error { return e.Err }

// NoStreamError says that the stream for durable commands does not exist. Nothing was sent.
type NoStreamError struct {
	Namespace, Stream string
}

func (e *NoStreamError) Error() string {
	return fmt.Sprintf("there is no stream %s for durable commands: start a worker of namespace %q once, it creates the stream, "+
		"or give another namespace", e.Stream, e.Namespace)
}

// NoWorkerError says that no worker takes requests. Nothing was handled.
type NoWorkerError struct {
	Namespace string
	Err       error
}

func (e *NoWorkerError) Error() string {
	return fmt.Sprintf("no worker of namespace %q answers (%s): start one, or give another namespace", e.Namespace, e.Err)
}

func (e *NoWorkerError) Unwrap() error { return e.Err }

// RefusedError says that a worker answered with an error instead of an outcome or a state.
type RefusedError struct {
	// Status is the code of the NATS service error. With 503 and 504 another attempt may succeed.
	Status string
	Reason protocol.Error
}

func (e *RefusedError) Error() string { return e.Reason.Error() }
func (e *RefusedError) Unwrap() error { return &e.Reason }

// LineError says which line of an import could not be sent.
type LineError struct {
	// Line counts from 1.
	Line int
	Err  error
}

func (e *LineError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Err) }
func (e *LineError) Unwrap() error { return e.Err }

// Err returns nil for a committed command. Otherwise it returns a *[protocol.Error] that says why
// the command was not committed.
func Err(o protocol.Outcome) error {
	if o.Status == protocol.Committed {
		return nil
	}
	if o.Error == nil {
		return &protocol.Error{Code: string(o.Status), Message: "the worker gave no reason"}
	}
	return o.Error
}
