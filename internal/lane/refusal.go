package lane

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/internal/wire"
	"github.com/maestro-es/maestro/protocol"
	"github.com/maestro-es/maestro/store"
)

// Refusal is the outcome of a command that did not take effect.
type Refusal struct {
	Status store.Status
	Code   string
	// Message is for people.
	Message string
	// Details are the details of a rejection, as JSON.
	Details json.RawMessage
	// Err is the error behind it, if there is one.
	Err error
}

// maxErrorBytes bounds the code and the text of an error, so that an answer always fits into a
// message and its headers.
const maxErrorBytes = 4096

// maxDetailBytes bounds the details of a rejection, because its receipt stores them too.
const maxDetailBytes = 64 << 10

func clip(s string) string { return s[:min(len(s), maxErrorBytes)] }

func (r *Refusal) error() *store.Error {
	return &store.Error{Code: wire.Printable(clip(r.Code)), Message: wire.Printable(clip(r.Message)), Details: r.Details}
}

// cause returns the error behind the refusal, or else the error that the client is told.
func (r *Refusal) cause() error {
	if r.Err != nil {
		return r.Err
	}
	return r.error()
}

// Fail returns the refusal of a command that could not be handled.
func Fail(code, format string, args ...any) *Refusal {
	return &Refusal{Status: store.Failed, Code: code, Message: fmt.Sprintf(format, args...)}
}

// reject returns the refusal of a command by a rule.
func reject(code, format string, args ...any) *Refusal {
	return &Refusal{Status: store.Rejected, Code: code, Message: fmt.Sprintf(format, args...)}
}

// refusalOf turns a command's error into its refusal.
func refusalOf(err error) *Refusal {
	r := classify(err)
	r.Err = err
	return r
}

// classify maps a command's error to its refusal.
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
		return refusalByRule(rejection)
	case errors.As(err, &mismatch):
		return reject(protocol.CodeSequenceMismatch, "%s", err)
	case errors.As(err, &projected):
		return refusalOfProjection(projected, err)
	case errors.As(err, &unknown):
		return Fail(protocol.CodeUnknownCommand, "%s", err)
	case errors.As(err, &payload):
		return Fail(protocol.CodeInvalidPayload, "%s", err)
	case errors.As(err, &unregistered):
		return Fail(protocol.CodeUnregisteredEvent, "%s", err)
	case errors.As(err, &event):
		return Fail(protocol.CodeInvalidEvent, "%s", err)
	case errors.As(err, &data):
		return Fail(protocol.CodeInvalidEvent, "%s", data.Message)
	case errors.As(err, &panicked):
		return Fail(protocol.CodePanic, "%s", err)
	}
	if violated, is := store.Violated(err); is { // at the end of the transaction
		return reject(protocol.CodeConstraintViolated, "%s", violated)
	}
	if fault, is := errors.AsType[*store.Fault](err); is && (fault.Origin == store.UserSQL || fault.Origin == store.UserCode) {
		return Fail(protocol.CodeProjectionFailed, "%s", err)
	}
	return Fail(protocol.CodeHandlerFailed, "%s", err)
}

// refusalByRule returns the rejection. If its details are too large or not JSON, the command fails
// instead.
func refusalByRule(by *aggregate.Rejection) *Refusal {
	if n := len(by.Details); n > maxDetailBytes {
		return Fail(protocol.CodeHandlerFailed, "the details of rejection %q have %d bytes, at most %d are allowed", by.Code, n, maxDetailBytes)
	}
	r := reject(by.Code, "%s", by.Message)
	if len(by.Details) == 0 {
		return r
	}
	var compact bytes.Buffer // the form in which they are read back
	if err := json.Compact(&compact, by.Details); err != nil || !utf8.Valid(by.Details) {
		return Fail(protocol.CodeHandlerFailed, "the details of rejection %q are not JSON", by.Code)
	}
	r.Details = compact.Bytes()
	return r
}

// verdictOf tells what to do about the error of an attempt. Only an error from a projection or a
// commit can refuse a command.
func verdictOf(err error) store.Verdict {
	verdict := store.Judge(err)
	if verdict == store.Refuse && !errors.As(err, new(*store.Fault)) {
		return store.Wait
	}
	return verdict
}

// refusalOfProjection rejects the command if a constraint of a read model is violated, because such
// a constraint is a rule (for example, unique names). Any other error makes the command fail.
func refusalOfProjection(of *projectionError, err error) *Refusal {
	if violated, is := store.Violated(err); is {
		return reject(protocol.CodeConstraintViolated, "%s: %s", of.projection, violated)
	}
	return Fail(protocol.CodeProjectionFailed, "%s", of.err)
}
