// Package atomicbatch publishes batches of messages to a JetStream stream of which the stream stores all or nothing.
//
// In come messages for one stream, which must allow atomic publishing; out goes whether they are stored. It speaks the protocol that
// nats-server calls atomic batch publishing (since 2.12, ADR-50 of NATS). The server keeps the messages aside, and when the last one
// comes it checks what any of them expects and stores them together. What a broken connection leaves unfinished is kept for 10 s and
// then forgotten.
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

// Errors of the stream that the jetstream package has no names for. Like every answer that is an error, they say that nothing of the
// batch is stored.
const (
	// ErrCodeIncomplete: the stream has another leader than at the batch's first message, or forgot the batch.
	ErrCodeIncomplete jetstream.ErrorCode = 10176
	// ErrCodeTooLarge: the server takes fewer messages in a batch, 1,000 unless its configuration says otherwise.
	ErrCodeTooLarge jetstream.ErrorCode = 10199
	// ErrCodeTooMany: as many batches as the server allows are unfinished, 50 for a stream unless its configuration says otherwise.
	ErrCodeTooMany jetstream.ErrorCode = 10210
)

const (
	headerID       = "Nats-Batch-Id"
	headerSequence = "Nats-Batch-Sequence"
	headerCommit   = "Nats-Batch-Commit"
)

// Sender sends batches over a connection. They do not mix on the wire, so a connection that breaks leaves one unfinished batch
// behind, however many publishers it has. It is safe for concurrent use.
type Sender struct {
	nc      *nats.Conn
	sending sync.Mutex
}

// NewSender returns the sender of a connection.
func NewSender(nc *nats.Conn) *Sender { return &Sender{nc: nc} }

// Publish sends the messages, each of which has a Header, and waits for the stream's word. After a *jetstream.APIError nothing is
// stored, after another error all or nothing is.
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

// send asks for an answer to the first message, which says why a batch cannot begin, and to the last.
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
		msg.Reply = "" // and no trace of this batch for the next that takes the message
		delete(msg.Header, headerID)
		delete(msg.Header, headerSequence)
		delete(msg.Header, headerCommit)
		if err != nil {
			return err
		}
	}
	return nil
}

// read reads an answer, and tells whether it is the last word on a batch of n messages.
func read(answer *nats.Msg, n int) (ends bool, err error) {
	if answer.Header.Get("Status") == "503" {
		return true, nats.ErrNoResponders
	}
	if len(answer.Data) == 0 { // the first message is kept aside
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
