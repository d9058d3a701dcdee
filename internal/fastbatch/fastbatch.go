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
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
)

// The reply subject of each message is <inbox>.<batch>.<messages between two notes on the flow>.fail.<number>.<operation>.$FI.
const (
	prefix = ".65535.fail."
	suffix = ".$FI"

	start  = "0"
	add    = "1"
	commit = "2"
)

// Sender sends one batch after the other. It is not safe for concurrent use.
type Sender struct {
	nc      *nats.Conn
	inbox   string
	answers chan *nats.Msg
	sub     *nats.Subscription
	broken  chan nats.Status
}

// NewSender returns a sender of batches of at most so many messages. It listens on the connection until Close.
func NewSender(nc *nats.Conn, most int) (*Sender, error) {
	s := &Sender{nc: nc, inbox: nc.NewInbox() + ".", answers: make(chan *nats.Msg, 2*most+8)} // with notes on the batch before
	var err error
	if s.sub, err = nc.ChanSubscribe(s.inbox+">", s.answers); err != nil {
		return nil, fmt.Errorf("subscribe to acknowledgements: %w", err)
	}
	s.broken = nc.StatusChanged(nats.RECONNECTING, nats.CLOSED)
	return s, nil
}

// Close ends what listens for answers.
func (s *Sender) Close() {
	s.nc.RemoveStatusListener(s.broken)
	_ = s.sub.Unsubscribe()
}

// Publish sends the messages, whose Reply it sets, and waits for the stream's word: how many of them, from the first on,
// are stored. Fewer than all is no error. After an error a prefix of them may be stored; one of the stream's is a *jetstream.APIError.
func (s *Sender) Publish(ctx context.Context, messages []*nats.Msg) (stored int, err error) {
	switch {
	case s.nc.IsClosed():
		return 0, nats.ErrConnectionClosed
	case !s.nc.IsConnected():
		return 0, nats.ErrDisconnected // what is buffered now would be stored later, in vain
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

// Publish sends a single batch, as [Sender.Publish] does.
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
