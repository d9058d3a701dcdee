package aggregate

import (
	"encoding/json"
	"fmt"
	"runtime/debug"
	"strings"
)

// Rejection is the refusal of a command by the rules of the aggregate. It is an expected outcome,
// not a fault.
type Rejection struct {
	// Code is for programs: a short stable word such as "insufficient_funds".
	Code string
	// Message is for people.
	Message string
	// Details, if any, are JSON for programs, with the data that a client needs to act on the
	// refusal.
	Details json.RawMessage
}

func (r *Rejection) Error() string { return r.Code + ": " + r.Message }

// Reject returns the error with which Decide refuses a command. The client gets the code and the
// formatted message.
func Reject(code, format string, args ...any) error {
	return &Rejection{Code: code, Message: fmt.Sprintf(format, args...)}
}

// RejectWith is [Reject] with details for programs, which the client gets as JSON beside the code
// and the message. Details may have up to 64 KiB. If the details cannot be encoded as JSON, the
// command fails instead of being refused.
func RejectWith(details any, code, format string, args ...any) error {
	body, err := encode(details)
	if err != nil {
		return fmt.Errorf("the details of rejection %q as JSON: %w", code, err)
	}
	return &Rejection{Code: code, Message: fmt.Sprintf(format, args...), Details: body}
}

// UnknownCommandError says that an aggregate type has no such command.
type UnknownCommandError struct {
	Aggregate, Command string
	Known              []string
}

func (e *UnknownCommandError) Error() string {
	return fmt.Sprintf("aggregate %q has no command %q; it has: %s", e.Aggregate, e.Command, strings.Join(e.Known, ", "))
}

// PayloadError says that a command's payload could not be read.
type PayloadError struct {
	Aggregate, Command string
	Err                error
}

func (e *PayloadError) Error() string {
	return fmt.Sprintf("payload of %s %s: %s", e.Aggregate, e.Command, e.Err)
}

func (e *PayloadError) Unwrap() error { return e.Err }

// UnregisteredEventError says that a command returned an event that has no name on the wire.
type UnregisteredEventError struct {
	Aggregate, GoType string
}

func (e *UnregisteredEventError) Error() string {
	if e.GoType == "<nil>" {
		return fmt.Sprintf("a command of %q returned a nil event", e.Aggregate)
	}
	if value, pointer := strings.CutPrefix(e.GoType, "*"); pointer {
		return fmt.Sprintf("event type %s has no name: return the value, %s, not a pointer to it (aggregate %q)",
			e.GoType, value, e.Aggregate)
	}
	return fmt.Sprintf("event type %s has no name: add aggregate.Emits[%s](\"name\") to the definition of %q",
		e.GoType, e.GoType, e.Aggregate)
}

// EventError says that an event could not be stored as JSON, or that a stored event could not be
// read.
type EventError struct {
	Aggregate, Event string
	Sequence         int64
	Err              error
}

func (e *EventError) Error() string {
	return fmt.Sprintf("event %s %q at sequence %d: %s", e.Aggregate, e.Event, e.Sequence, e.Err)
}

func (e *EventError) Unwrap() error { return e.Err }

// PanicError is a panic of the user's code that was caught.
type PanicError struct {
	// During says which code panicked, such as "command counter increment".
	During string
	Value  any
	Stack  []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("%s panicked: %v", e.During, e.Value) }

// catch turns a panic of the user's code into an error. It must be deferred.
func catch(err *error, during ...string) {
	if p := recover(); p != nil {
		*err = panicked(p, during...)
	}
}

// panicked returns the error for a panic. It is called while the panic unwinds, so that the stack
// is the one that led to the panic.
func panicked(recovered any, during ...string) error {
	return &PanicError{During: strings.Join(during, " "), Value: recovered, Stack: debug.Stack()}
}

// SequenceMismatchError says that a command expected an aggregate at another sequence.
type SequenceMismatchError struct {
	Aggregate, ID    string
	Expected, Actual int64
}

func (e *SequenceMismatchError) Error() string {
	return fmt.Sprintf("expected %s %s at sequence %d, it is at %d", e.Aggregate, e.ID, e.Expected, e.Actual)
}
