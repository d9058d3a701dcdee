package message

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/maestro-es/maestro/internal/wire"
	"github.com/maestro-es/maestro/protocol"
	"github.com/maestro-es/maestro/store"
)

// errorCode returns the NATS micro error code of an outcome's error. The codes resemble HTTP status
// codes.
func errorCode(status store.Status, code string) string {
	switch {
	case code == protocol.CodeUnavailable:
		return "503" // try again with the same command id
	case status == store.Rejected, code == protocol.CodeSequenceMismatch:
		return "409"
	}
	switch code {
	case protocol.CodePanic, protocol.CodeHandlerFailed, protocol.CodeUnregisteredEvent, protocol.CodeInvalidEvent,
		protocol.CodeProjectionFailed, protocol.CodeGaveUp, protocol.CodeUnreadableAggregate:
		return "500"
	case protocol.CodeUnknownAggregate, protocol.CodeUnknownCommand:
		return "404"
	case protocol.CodeDeadlineExceeded:
		return "408"
	}
	return "400"
}

// Answers sends answers to the reply subjects of clients. All fields are required.
type Answers struct {
	NATS      *nats.Conn
	Namespace wire.Namespace
	Logger    *slog.Logger
}

// Outcome answers a command. If the events or the state do not fit into a message, the client gets
// the outcome without them.
func (a *Answers) Outcome(reply string, o store.Outcome) {
	err := a.Send(reply, o, o.Status, o.Error)
	if errors.Is(err, nats.ErrMaxPayload) {
		o.State, o.Events = nil, nil
		if o.Error == nil {
			o.Error = &store.Error{Code: protocol.CodeOutcomeTooLarge,
				Message: "the command took effect; its events or state do not fit into a message"}
		}
		err = a.Send(reply, o, o.Status, o.Error)
	}
	if err != nil {
		a.Logger.Debug("an outcome could not be sent", "command_id", o.CommandID, "error", err)
	}
}

// Error answers a request that is not a command.
func (a *Answers) Error(reply string, e *store.Error) {
	body := struct {
		Error *store.Error `json:"error"`
	}{e}
	if err := a.Send(reply, body, store.Failed, e); err != nil {
		a.Logger.Debug("an error could not be sent", "code", e.Code, "error", err)
	}
}

// Send sends the JSON of an answer. The error is also in the headers, as in NATS micro services. If
// reply is not a valid reply subject, Send sends nothing.
func (a *Answers) Send(reply string, answer any, status store.Status, e *store.Error) error {
	if !a.Namespace.MayAnswer(reply) {
		return nil
	}
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false) // messages for people hold <names> in angle brackets
	if err := encoder.Encode(answer); err != nil {
		return err
	}
	msg := &nats.Msg{Subject: reply, Data: bytes.TrimSuffix(body.Bytes(), []byte("\n"))}
	if e != nil && status != store.Committed {
		msg.Header = nats.Header{
			micro.ErrorCodeHeader: {errorCode(status, e.Code)},
			micro.ErrorHeader:     {oneLine(e.Error())},
		}
	}
	return a.NATS.PublishMsg(msg)
}

// oneLine puts a text on one line, so that it fits into a header.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
