package tests

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/store"
)

// publishRaw sends a message with the given header block unchanged, and returns when the server has
// it. No careful client would write such a block.
func (s *system) publishRaw(subject, reply, block, body string) {
	s.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.natsURL, "nats://"))
	require.NoError(s, err)
	defer func() { _ = conn.Close() }()
	_, err = fmt.Fprintf(conn, "CONNECT {\"verbose\":false,\"headers\":true,\"no_responders\":true}\r\nHPUB %s.%s %s %d %d\r\n%s%s\r\nPING\r\n",
		s.namespace, subject, reply, len(block), len(block)+len(body), block, body)
	require.NoError(s, err)
	lines := bufio.NewScanner(conn)
	for lines.Scan() {
		if lines.Text() == "PONG" {
			return
		}
		require.NotContains(s, lines.Text(), "-ERR")
	}
	s.Fatal("the server has closed the connection")
}

// brokenBlocks lack a line break or a colon. A library that cannot read a block delivers the
// message without headers. Blocks with more text in their first line cannot be recognized in a
// stream, because nats-server removes the text after NATS/1.0 when it stores a message.
var brokenBlocks = map[string]string{
	"no break of the first line": "NATS/1.0Maestro-Expect-Sequence: 7\r\nMaestro-Reply: %s\r\n\r\n",
	"first line, with a space":   "NATS/1.0 Maestro-Expect-Sequence: 7\r\nMaestro-Reply: %s\r\n\r\n",
	"short first line":           "NATS/1.0 x\r\nMaestro-Expect-Sequence: 7\r\nMaestro-Reply: %s\r\n\r\n",
	"a line without a colon":     "NATS/1.0\r\nMaestro-Expect-Sequence 7\r\nMaestro-Reply: %s\r\n\r\n",
	"no end":                     "NATS/1.0\r\nMaestro-Expect-Sequence: 7\r\nMaestro-Reply: %s",
	"another protocol":           "HTTP/1.1\r\nMaestro-Expect-Sequence: 7\r\nMaestro-Reply: %s\r\n\r\n",
}

// A command with unreadable headers is not handled like a command without headers, because its id,
// its deadline and the sequence that it expects would be lost.
func TestACommandWithoutReadableHeadersIsMalformed(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.run(troubles)
	letters := 0
	for name, block := range brokenBlocks {
		inbox, err := s.nats.SubscribeSync(s.nats.NewInbox())
		require.NoError(t, err)
		block = fmt.Sprintf(block, inbox.Subject)

		for subject, body := range map[string]string{"do.trouble.1.add": `{"n":1}`, "get.trouble.1": "", "history.trouble.1": ""} {
			s.publishRaw(subject, inbox.Subject, block, body)
			msg, err := inbox.NextMsg(patience)
			require.NoError(t, err, "%s %s", name, subject)
			require.Equal(t, "malformed", s.read(msg).Error.Code, "%s %s: %s", name, subject, msg.Data)
		}

		if strings.Contains(name, "first line") {
			continue
		}
		s.publishRaw("cmd.trouble.1.add", "", block, `{"n":1}`)
		letters++
		s.until("the dead letter of "+name, func() bool {
			return query[int](s, "select count(*)::int from "+s.table("dead_letters")+" where code = 'malformed'") == letters
		})
	}
	require.Zero(t, s.events())

	plain := "NATS/1.0\r\n\r\n"
	s.publishRaw("cmd.trouble.1.add", "", plain, `{"n":1}`)
	s.publishRaw("cmd.trouble.1.add", "", "NATS/1.0\r\nStatus:new\r\n\r\n", `{"n":1}`)
	s.publishRaw("cmd.trouble.1.add", "", "NATS/1.0\nAn-Own-Header: x\n\n", `{"n":1}`)
	s.until("the commands with headers that can be read", func() bool { return s.events() == 3 })
	s.check()
}

// A reply subject that is not valid for answers would close the connection of each owner in turn.
func TestAReplySubjectThatIsNoneIsMalformed(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.run(troubles)
	letters := 0
	for _, reply := range []string{strings.Repeat("x", 5000), strings.Repeat("x", 1025), "a b", "a.*", "a.>", ".a", "a..b", "a.", "a\x01b", "a\u00a0b"} {
		s.store("trouble.1.add", `{"n":1}`, "Maestro-Reply", reply)
		letters++
		s.until("a dead letter", func() bool {
			return query[int](s, "select count(*)::int from "+s.table("dead_letters")+" where code = 'malformed'") == letters
		})
	}
	require.Zero(t, s.events())
	require.EqualValues(t, 1, s.committed(s.send("trouble.1.add", `{"n":1}`)))

	_, err := s.nats.Subscribe(strings.Repeat("y", 2000), func(*nats.Msg) { t.Error("an answer") })
	require.NoError(t, err)
	require.NoError(t, s.nats.PublishMsg(&nats.Msg{Subject: string(s.namespace) + ".do.trouble.1.add",
		Reply: strings.Repeat("y", 2000), Data: []byte(`{"n":1}`)}))
	require.EqualValues(t, 2, s.committed(s.ask("do.trouble.1.add", `{"n":1}`)), "nothing came between")
}

// Answers never go to the subjects of namespaces, because the worker would write there in a
// client's name.
func TestNoAnswerOnSubjectsOfNamespaces(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.run(troubles)
	sequence := int64(0)
	for _, reply := range []string{"orders.cmd.a.b.c", "orders.do.a.b.c", "orders.get.a.b", "orders.evt.0.a.b.c", "orders.history.a.b",
		"orders.fence.0", "orders.worker.beat", "orders.worker.1.forward", "orders.log.1", "$JS.API.STREAM.DELETE.ORDERS", string(s.namespace) + ".x"} {
		inbox, err := s.nats.SubscribeSync(reply)
		require.NoError(t, err)
		s.store("trouble.1.add", `{"n":1}`, "Maestro-Reply", reply)
		require.NoError(t, s.nats.PublishMsg(&nats.Msg{Subject: string(s.namespace) + ".get.trouble.1", Reply: reply}))
		sequence += 2
		require.Equal(t, sequence, s.committed(s.send("trouble.1.add", `{"n":1}`)), "the command before is handled all the same")
		require.NoError(t, s.nats.Flush())
		_, err = inbox.NextMsg(0)
		require.ErrorIs(t, err, nats.ErrTimeout, reply)
		require.NoError(t, inbox.Unsubscribe())
	}
}

// W3C demands that the names of its headers are read in upper and lower case. RFC 3339 allows more
// than Go reads.
func TestWhatOtherLanguagesWrite(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.run(troubles)
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
	a := s.ask("do.trouble.1.add", `{"n":1}`, "Traceparent", parent, "TraceState", "x=1", "Maestro-Deadline", "2199-12-31t23:59:60.5z")
	require.EqualValues(t, 1, s.committed(a))
	for key, want := range map[string]string{"traceparent": parent, "tracestate": "x=1"} {
		require.Equal(t, want, query[string](s, "select metadata ->> $1 from "+s.table("events"), key))
	}
	a = s.ask("do.trouble.1.add", `{"n":1}`, "Maestro-Deadline", "2016-12-31t23:59:60z")
	s.refused(a, store.Failed, "deadline_exceeded", "408")
	require.Contains(t, a.Error.Message, "2017-01-01T00:00:00Z")
}
