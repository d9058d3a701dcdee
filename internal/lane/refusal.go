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
	// Details are a rule's, as JSON.
	Details json.RawMessage
	// Err is the error behind it, if there is one.
	Err error
}

// maxErrorBytes bounds a code and a message, so that an answer always fits into a message and its headers.
const maxErrorBytes = 4096

// maxDetailBytes bounds the details of a rejection: its receipt has them too.
const maxDetailBytes = 64 << 10

func clip(s string) string { return s[:min(len(s), maxErrorBytes)] }

func (r *Refusal) error() *store.Error {
	return &store.Error{Code: wire.Printable(clip(r.Code)), Message: wire.Printable(clip(r.Message)), Details: r.Details}
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

// refusalByRule is a rejection, if its details can be answered and kept.
func refusalByRule(by *aggregate.Rejection) *Refusal {
	if n := len(by.Details); n > maxDetailBytes {
		return Fail(protocol.CodeHandlerFailed, "the details of rejection %q have %d bytes, at most %d are allowed", by.Code, n, maxDetailBytes)
	}
	r := reject(by.Code, "%s", by.Message)
	if len(by.Details) == 0 {
		return r
	}
	var compact bytes.Buffer // as they will be read back
	if err := json.Compact(&compact, by.Details); err != nil || !utf8.Valid(by.Details) {
		return Fail(protocol.CodeHandlerFailed, "the details of rejection %q are not JSON", by.Code)
	}
	r.Details = compact.Bytes()
	return r
}

// verdictOf tells what the error of an attempt leads to. Only what comes from a projection or a commit refuses a command.
func verdictOf(err error) store.Verdict {
	verdict := store.Judge(err)
	if verdict == store.Refuse && !errors.As(err, new(*store.Fault)) {
		return store.Wait
	}
	return verdict
}

// refusalOfProjection: a violated constraint of a read model is a rule (a name that is taken), anything else a fault.
func refusalOfProjection(of *projectionError, err error) *Refusal {
	if violated, is := store.Violated(err); is {
		return reject(protocol.CodeConstraintViolated, "%s: %s", of.projection, violated)
	}
	return Fail(protocol.CodeProjectionFailed, "%s", of.err)
}
