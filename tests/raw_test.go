package tests

import (
	"context"
	"encoding/json"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/store"
)

// answer is what a client of any language sees: JSON and headers.
type answer struct {
	store.Outcome
	state  json.RawMessage // of a get
	header nats.Header
	body   string
}

func (s *system) message(subject, body string, headers []string) *nats.Msg {
	msg := &nats.Msg{Subject: string(s.namespace) + "." + subject, Data: []byte(body), Header: nats.Header{}}
	for i := 0; i < len(headers); i += 2 {
		msg.Header[headers[i]] = []string{headers[i+1]}
	}
	return msg
}

// ask sends a request to a subject of the namespace. The headers are given as name, value, name,
// value.
func (s *system) ask(subject, body string, headers ...string) answer {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), patience)
	defer cancel()
	msg, err := s.nats.RequestMsgWithContext(ctx, s.message(subject, body, headers))
	require.NoError(s, err, subject)
	return s.read(msg)
}

// send stores a durable command that names an inbox, and waits there for the outcome.
func (s *system) send(subject, body string, headers ...string) answer {
	s.Helper()
	inbox, err := s.nats.SubscribeSync(s.nats.NewInbox())
	require.NoError(s, err)
	defer func() { _ = inbox.Unsubscribe() }()
	s.store(subject, body, append(headers, "Maestro-Reply", inbox.Subject)...)
	msg, err := inbox.NextMsg(patience)
	require.NoError(s, err, "no outcome of %s", subject)
	return s.read(msg)
}

// store stores a durable command and returns JetStream's answer.
func (s *system) store(subject, body string, headers ...string) *jetstream.PubAck {
	s.Helper()
	ack, err := s.js.PublishMsg(s.Context(), s.message("cmd."+subject, body, headers))
	require.NoError(s, err, subject)
	return ack
}

func (s *system) read(msg *nats.Msg) answer {
	s.Helper()
	a := answer{header: msg.Header, body: string(msg.Data)}
	require.NoError(s, json.Unmarshal(msg.Data, &a.Outcome), "%s", msg.Data)
	a.state = a.State
	require.Equal(s, a.Error != nil && a.Status != store.Committed, msg.Header.Get("Nats-Service-Error-Code") != "", "%v %s", msg.Header, msg.Data)
	return a
}

// committed returns an answer's sequence, and fails unless the answer is that of a committed
// command.
func (s *system) committed(a answer) int64 {
	s.Helper()
	require.Equal(s, store.Committed, a.Status, a.body)
	return a.Sequence
}

// refused checks the status, the code, and the status of the micro service error of an answer.
func (s *system) refused(a answer, status store.Status, code, number string) {
	s.Helper()
	require.Equal(s, status, a.Status, a.body)
	require.NotNil(s, a.Error, a.body)
	require.Equal(s, code, a.Error.Code, a.body)
	require.NotEmpty(s, a.Error.Message)
	require.Equal(s, number, a.header.Get("Nats-Service-Error-Code"), a.body)
	require.Contains(s, a.header.Get("Nats-Service-Error"), code)
}

// future is a deadline that no test reaches.
func future() string { return time.Now().Add(time.Hour).UTC().Format(time.RFC3339Nano) }
