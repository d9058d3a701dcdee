// Package fastbatch publishes batches of messages to a JetStream stream in one exchange. Whatever
// goes wrong, the stream holds a prefix of the batch.
//
// Messages for one stream come in. The number of stored messages goes out. The package speaks the
// protocol that nats-server calls fast batches (since 2.14, ADR-50 of NATS), in the mode in which a
// gap ends the batch. When several publishers are at work, the server sends an acknowledgement for
// every few messages as flow control. This package does not wait for these acknowledgements. A
// batch therefore has to be smaller than what the server takes ahead of its disk: 100,000 messages
// or 128 MiB in all.
//
// The ordinary way of publishing many messages at once cannot promise a prefix. A message may be
// lost because a connection breaks or the stream's leader changes. The messages after the lost one
// would then be stored before it is sent again.
package fastbatch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
)

// The reply subject of each message is
// <inbox>.<batch>.<messages between two notes on the flow>.fail.<number>.<operation>.$FI.
const (
	prefix = ".65535.fail."
	suffix = ".$FI"

	start  = "0"
	add    = "1"
	commit = "2"
)

// Sender sends one batch after another. It is not safe for concurrent use.
type Sender struct {
	nc      *nats.Conn
	inbox   string
	answers chan *nats.Msg
	sub     *nats.Subscription
	broken  chan nats.Status
}

// NewSender returns a sender of batches of at most the given number of messages. The sender listens
// on the connection until Close.
func NewSender(nc *nats.Conn, most int) (*Sender, error) {
	s := &Sender{nc: nc, inbox: nc.NewInbox() + ".", answers: make(chan *nats.Msg, 2*most+8)} // room for notes on the batch before
	var err error
	if s.sub, err = nc.ChanSubscribe(s.inbox+">", s.answers); err != nil {
		return nil, fmt.Errorf("subscribe to acknowledgements: %w", err)
	}
	s.broken = nc.StatusChanged(nats.RECONNECTING, nats.CLOSED)
	return s, nil
}

// Close ends the subscription for answers.
func (s *Sender) Close() {
	s.nc.RemoveStatusListener(s.broken)
	_ = s.sub.Unsubscribe()
}

// Publish sends the messages, waits for the stream's answer, and returns how many messages are
// stored, counted from the first. Fewer than all is not an error. After an error a prefix of the
// messages may be stored. An error of the stream is a *jetstream.APIError. Publish sets the Reply
// of each message.
func (s *Sender) Publish(ctx context.Context, messages []*nats.Msg) (stored int, err error) {
	switch {
	case s.nc.IsClosed():
		return 0, nats.ErrConnectionClosed
	case !s.nc.IsConnected():
		return 0, nats.ErrDisconnected // messages buffered now would be stored later, in vain
	}
	batch := s.inbox + nuid.Next()
	if err := s.send(batch, messages); err != nil {
		return 0, err
	}
	for {
		select {
		case answer := <-s.answers:
			if !strings.HasPrefix(answer.Subject, batch) {
				continue // a note on an earlier batch
			}
			if stored, ends, err := read(answer); ends {
				return stored, err
			}
		case <-s.broken:
			return 0, nats.ErrDisconnected
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

// Publish sends a single batch like [Sender.Publish].
func Publish(ctx context.Context, nc *nats.Conn, messages []*nats.Msg) (stored int, err error) {
	s, err := NewSender(nc, len(messages))
	if err != nil {
		return 0, err
	}
	defer s.Close()
	return s.Publish(ctx, messages)
}

func (s *Sender) send(batch string, messages []*nats.Msg) error {
	for n, msg := range messages {
		operation := add
		switch n {
		case len(messages) - 1:
			operation = commit
		case 0:
			operation = start
		}
		msg.Reply = batch + prefix + strconv.Itoa(n+1) + "." + operation + suffix
		if err := s.nc.PublishMsg(msg); err != nil {
			return err
		}
	}
	return nil
}

// read reads an answer. ends is true for the last answer to the batch, and false for a note that
// comes before it.
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
	case a.Type != "": // a note on the flow; or a gap or an error, which the last answer follows
		return 0, false, nil
	case a.Error != nil:
		return 0, true, a.Error
	case a.Count <= 0:
		return 0, true, errors.New("the stream stored nothing of a batch")
	}
	return a.Count, true, nil
}
