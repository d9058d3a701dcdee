// Package atomicbatch publishes batches of messages to a JetStream stream. The stream stores all
// messages of a batch or none.
//
// Messages for one stream come in. The stream must allow atomic publishing. The answer whether the
// messages are stored goes out. The package speaks the protocol that nats-server calls atomic batch
// publishing (since 2.12, ADR-50 of NATS). The server keeps the messages aside. When the last
// message comes, the server checks the expectations of every message and stores all of them
// together. If a connection breaks, the server keeps the unfinished batch for 10 s and then forgets
// it.
package atomicbatch

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
)

// Errors of the stream that the jetstream package has no names for. Every answer that is an error,
// these included, means that nothing of the batch is stored.
const (
	// ErrCodeIncomplete: the stream's leader changed since the batch's first message, or the stream
	// forgot the batch.
	ErrCodeIncomplete jetstream.ErrorCode = 10176
	// ErrCodeTooLarge: the batch has more messages than the server takes. The server's limit is
	// 1,000 unless its configuration says otherwise.
	ErrCodeTooLarge jetstream.ErrorCode = 10199
	// ErrCodeTooMany: the server's limit of unfinished batches is reached. The limit is 50 for a
	// stream unless the server's configuration says otherwise.
	ErrCodeTooMany jetstream.ErrorCode = 10210
)

const (
	headerID       = "Nats-Batch-Id"
	headerSequence = "Nats-Batch-Sequence"
	headerCommit   = "Nats-Batch-Commit"
)

// Sender sends batches over a connection. Batches do not mix on the wire, so a connection that
// breaks leaves one unfinished batch behind, however many publishers the connection has. A Sender
// is safe for concurrent use.
type Sender struct {
	nc      *nats.Conn
	sending sync.Mutex
}

// NewSender returns a sender that uses the connection nc.
func NewSender(nc *nats.Conn) *Sender { return &Sender{nc: nc} }

// Publish sends the messages and waits for the stream's answer. Each message must have a Header.
// After a *jetstream.APIError nothing is stored. After any other error either all or nothing is
// stored.
func (s *Sender) Publish(ctx context.Context, messages []*nats.Msg) error {
	inbox := s.nc.NewInbox()
	answers, err := s.nc.SubscribeSync(inbox)
	if err != nil {
		return fmt.Errorf("subscribe to acknowledgements: %w", err)
	}
	defer func() { _ = answers.Unsubscribe() }()
	if err := s.send(inbox, messages); err != nil {
		return err
	}
	for {
		answer, err := answers.NextMsgWithContext(ctx)
		if err != nil {
			return err
		}
		if ends, err := read(answer, len(messages)); ends {
			return err
		}
	}
}

// send asks for an answer to the first message and to the last one. The answer to the first message
// says why a batch cannot begin.
func (s *Sender) send(inbox string, messages []*nats.Msg) error {
	s.sending.Lock()
	defer s.sending.Unlock()
	id, last := nuid.Next(), len(messages)-1
	for n, msg := range messages {
		msg.Header[headerID] = []string{id}
		msg.Header[headerSequence] = []string{strconv.Itoa(n + 1)}
		if n == 0 || n == last {
			msg.Reply = inbox
		}
		if n == last {
			msg.Header[headerCommit] = []string{"1"}
		}
		err := s.nc.PublishMsg(msg)
		msg.Reply = "" // so that the next batch that takes the message sees no trace of this one
		delete(msg.Header, headerID)
		delete(msg.Header, headerSequence)
		delete(msg.Header, headerCommit)
		if err != nil {
			return err
		}
	}
	return nil
}

// read reads an answer, and tells whether it is the last answer to a batch of n messages.
func read(answer *nats.Msg, n int) (ends bool, err error) {
	if answer.Header.Get("Status") == "503" {
		return true, nats.ErrNoResponders
	}
	if len(answer.Data) == 0 { // the server has put the first message aside
		return false, nil
	}
	var a struct {
		Count int                 `json:"count"`
		Error *jetstream.APIError `json:"error"`
	}
	switch err := json.Unmarshal(answer.Data, &a); {
	case err != nil:
		return true, fmt.Errorf("read the acknowledgement of a batch: %w", err)
	case a.Error != nil:
		return true, a.Error
	case a.Count != n:
		return true, fmt.Errorf("the acknowledgement of a batch of %d messages speaks of %d", n, a.Count)
	}
	return true, nil
}
