package openloop

import (
	"cmp"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"github.com/tidwall/gjson"

	"github.com/maestro-es/maestro/store"
)

// Answer tells how a command ended.
type Answer struct {
	// Status is the outcome's status, or Unanswered.
	Status store.Status
	// Reason is the code of the error, if there is one.
	Reason string
	// Resent is how often the command was sent again.
	Resent int
}

// Unanswered is the status of a command that got no answer in time. Nobody knows whether it was
// committed.
const Unanswered store.Status = "unanswered"

// reading is the meaning of an incoming message: an answer, or a request to send the command again,
// or nothing to act on.
type reading struct {
	answer Answer
	final  bool
	again  bool
}

// readOutcome reads the answer to a command, from a worker or from the server in place of a worker.
func readOutcome(msg *nats.Msg) reading {
	switch cmp.Or(msg.Header.Get(micro.ErrorCodeHeader), msg.Header.Get("Status")) {
	case "503", "504":
		return reading{again: true}
	}
	found := gjson.GetManyBytes(msg.Data, "status", "error.code")
	switch status := store.Status(found[0].Str); status {
	case store.Committed:
		return reading{final: true, answer: Answer{Status: status}}
	case store.Rejected, store.Failed:
		return reading{final: true, answer: Answer{Status: status, Reason: found[1].Str}}
	}
	return reading{final: true, answer: Answer{Status: store.Failed, Reason: "unreadable_answer"}}
}

// readStored reads the stream's answer to a durable command. That the command is stored is not an
// outcome yet.
func readStored(msg *nats.Msg) reading {
	if msg.Header.Get("Status") == "503" {
		return reading{again: true} // no stream, or none at the moment
	}
	if refused := gjson.GetBytes(msg.Data, "error"); refused.Exists() {
		code := refused.Get("err_code").Int()
		return reading{final: true, answer: Answer{Status: store.Failed, Reason: "stream_error_" + strconv.FormatInt(code, 10)}}
	}
	return reading{}
}
