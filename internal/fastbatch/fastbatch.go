// Package fastbatch publishes batches of messages to a JetStream stream in one exchange, such that whatever goes wrong, what the
// stream holds of a batch is a prefix of it.
//
// In come messages for one stream, out goes how many of them are stored. It speaks the protocol that nats-server calls fast
// batches (since 2.14, ADR-50 of NATS), in the mode in which a gap ends the batch. The server's flow control, an
// acknowledgement for every few messages as soon as several publishers are at work, is not waited for: a batch has to be less than the
// server takes ahead of its disk, 100,000 messages or 128 MiB in all.
//
// Publishing many messages at once in the ordinary way cannot promise a prefix: those that follow a lost one (a broken connection,
// a change of the stream's leader) would be stored before it is sent again.
package fastbatch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// The reply subject of each message is <inbox>.<messages between two notes on the flow>.fail.<number>.<operation>.$FI.
const (
	prefix = ".65535.fail."
	suffix = ".$FI"

	start  = "0"
	add    = "1"
	commit = "2"
)

// Publish sends the messages, whose Reply it sets, and waits for the stream's word: how many of them, from the first on, are
// stored. Fewer than all is no error. After an error a prefix of them may be stored; one of the stream's is a *jetstream.APIError.
func Publish(ctx context.Context, nc *nats.Conn, messages []*nats.Msg) (stored int, err error) {
	broken := nc.StatusChanged(nats.RECONNECTING, nats.CLOSED)
	defer nc.RemoveStatusListener(broken)
	switch {
	case nc.IsClosed():
		return 0, nats.ErrConnectionClosed
	case !nc.IsConnected():
		return 0, nats.ErrDisconnected // what is buffered now would be stored later, in vain
	}
	inbox, answers := nc.NewInbox(), make(chan *nats.Msg, len(messages)+8)
	sub, err := nc.ChanSubscribe(inbox+".>", answers)
	if err != nil {
		return 0, fmt.Errorf("subscribe to acknowledgements: %w", err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	if err := send(nc, inbox, messages); err != nil {
		return 0, err
	}
	for {
		select {
		case answer := <-answers:
			if stored, ends, err := read(answer); ends {
				return stored, err
			}
		case <-broken:
			return 0, nats.ErrDisconnected
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

func send(nc *nats.Conn, inbox string, messages []*nats.Msg) error {
	for n, msg := range messages {
		operation := add
		switch n {
		case len(messages) - 1:
			operation = commit
		case 0:
			operation = start
		}
		msg.Reply = inbox + prefix + strconv.Itoa(n+1) + "." + operation + suffix
		if err := nc.PublishMsg(msg); err != nil {
			return err
		}
	}
	return nil
}

// read reads an answer, and tells whether it is the last word on the batch or a note that comes before.
func read(answer *nats.Msg) (stored int, ends bool, err error) {
	if answer.Header.Get("Status") == "503" {
		return 0, true, nats.ErrNoResponders
	}
	var a struct {
		Type  string              `json:"type"`
		Count int                 `json:"count"`
		Error *jetstream.APIError `json:"error"`
	}
	switch err := json.Unmarshal(answer.Data, &a); {
	case err != nil:
		return 0, true, fmt.Errorf("read the acknowledgement of a batch: %w", err)
	case a.Type != "": // on the flow, or a gap or an error that the last word follows
		return 0, false, nil
	case a.Error != nil:
		return 0, true, a.Error
	case a.Count <= 0:
		return 0, true, errors.New("the stream stored nothing of a batch")
	}
	return a.Count, true, nil
}
