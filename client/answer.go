package client

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nats.go/micro"

	"github.com/maestro-es/maestro/protocol"
)

// readOutcome reads the answer to a command. An outcome may also have the headers of a service
// error, for clients that understand only those. An error that asks to try again later is no
// outcome.
func readOutcome(msg *nats.Msg) (o protocol.Outcome, err error) {
	refused := refusal(msg)
	if isRetryable(refused) {
		return o, refused
	}
	if json.Unmarshal(msg.Data, &o) == nil && o.Status != "" {
		return o, nil
	}
	var ack jetstream.PubAck
	if json.Unmarshal(msg.Data, &ack) == nil && ack.Stream != "" {
		return protocol.Outcome{}, &capturedError{stream: ack.Stream}
	}
	return protocol.Outcome{}, cmp.Or(refused, fmt.Errorf("the answer is no outcome: %.200q", msg.Data))
}

// capturedError says that a stream took a request and acknowledged it before a worker could
// answer.
type capturedError struct{ stream string }

func (e *capturedError) Error() string {
	return fmt.Sprintf("the stream %s has stored the request and answered in place of a worker: "+
		"take the subjects of requests out of it", e.stream)
}

// refusal returns the error in the headers of NATS services, or nil if the answer has none.
func refusal(msg *nats.Msg) error {
	status := msg.Header.Get(micro.ErrorCodeHeader)
	if status == "" {
		return nil
	}
	var body struct{ Error protocol.Error }
	_ = json.Unmarshal(msg.Data, &body) // the headers alone are enough
	return &RefusedError{Status: status, Reason: protocol.Error{
		Code:    cmp.Or(body.Error.Code, status),
		Message: cmp.Or(body.Error.Message, msg.Header.Get(micro.ErrorHeader)),
	}}
}

// isRetryable tells whether a worker asks the client to try again.
func isRetryable(err error) bool {
	var refused *RefusedError
	return errors.As(err, &refused) && (refused.Status == "503" || refused.Status == "504")
}
