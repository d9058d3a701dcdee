package openloop

import (
	"cmp"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"github.com/tidwall/gjson"

	"github.com/maestro-es/maestro/store"
)

// Answer is what became of a command.
type Answer struct {
	// Status is that of the outcome, or Unanswered.
	Status store.Status
	// Reason is the code of the error, where there is one.
	Reason string
	// Resent is how often the command was sent again.
	Resent int
}

// Unanswered is the status of a command that got no answer in time: nobody knows what became of it.
const Unanswered store.Status = "unanswered"

// reading is what an incoming message says: an answer, or that the command is to be sent again, or nothing to act on.
type reading struct {
	answer Answer
	final  bool
	again  bool
}

// readOutcome reads what a worker, or the server in place of a worker, answers to a command.
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

// readStored reads what the stream says of a durable command. That it is stored is no outcome yet.
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
