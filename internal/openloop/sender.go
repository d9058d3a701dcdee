package openloop

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/maestro-es/maestro/internal/wire"
	"github.com/maestro-es/maestro/store"
)

// Commands sends the commands of a load over NATS. If a worker has no time for a command, or no
// answer comes for a while, the command is sent again under the same id, as the clients do. Its
// latency goes on counting.
type Commands struct {
	load    Load
	ns      wire.Namespace
	run     string // begins the commands' ids
	inbox   []string
	flights []*flights
	subs    []*nats.Subscription
	done    chan struct{}
	swept   chan struct{}
}

// Subjects under the inbox: the outcome of a command, and the stream's answer to it.
const (
	outcomes = "o"
	stored   = "s"
)

// NewCommands returns a sender whose commands are spread over the connections. The connections
// remain the caller's. run is a text that no other run has; it makes the commands' ids unique. A
// command is unanswered after the timeout.
func NewCommands(conns []*nats.Conn, namespace, run string, load Load, timeout time.Duration) (*Commands, error) {
	if err := errors.Join(wire.Namespace(namespace).Check(), load.Check()); err != nil {
		return nil, err
	}
	c := &Commands{load: load, ns: wire.Namespace(namespace), run: run, done: make(chan struct{}), swept: make(chan struct{})}
	for _, conn := range conns {
		if err := c.listen(conn); err != nil {
			c.unsubscribe()
			return nil, err
		}
	}
	go c.sweep(timeout)
	return c, nil
}

// listen subscribes to the answers on a connection.
func (c *Commands) listen(conn *nats.Conn) error {
	f := &flights{conn: conn, flying: map[int]*flight{}}
	inbox := conn.NewInbox()
	sub, err := conn.Subscribe(inbox+".*.*", func(msg *nats.Msg) {
		kind, n, err := address(msg.Subject)
		if err != nil {
			return // no command was sent with such an inbox
		}
		read := readOutcome
		if kind == stored {
			read = readStored
		}
		switch r := read(msg); {
		case r.again:
			f.retry(n)
		case r.final:
			f.land(n, r.answer)
		}
	})
	if err != nil {
		return fmt.Errorf("subscribe to the outcomes: %w", err)
	}
	c.inbox, c.flights, c.subs = append(c.inbox, inbox+"."), append(c.flights, f), append(c.subs, sub)
	return sub.SetPendingLimits(-1, -1) // there are never more answers than commands in flight
}

// address reads the end of an answer's subject: the kind of the answer and the command's number.
func address(subject string) (kind string, n int, err error) {
	at := strings.LastIndexByte(subject, '.')
	n, err = strconv.Atoi(subject[at+1:])
	if err != nil {
		return "", 0, err
	}
	rest := subject[:at]
	return rest[strings.LastIndexByte(rest, '.')+1:], n, nil
}

// Send sends the command with number n. It is not safe for concurrent use.
func (c *Commands) Send(n int, done func(Answer)) {
	id := c.load.pick()
	data, err := c.load.Data.of(variables{N: n, ID: id})
	if err != nil {
		done(Answer{Status: store.Failed, Reason: "template: " + err.Error()})
		return
	}
	on, number := n%len(c.flights), strconv.Itoa(n)
	inbox := c.inbox[on]
	msg := &nats.Msg{Data: data, Header: nats.Header{wire.HeaderCommandID: {c.run + "-" + number}}}
	if c.load.Durable {
		msg.Subject = c.ns.Send(c.load.Aggregate, id, c.load.Command)
		msg.Reply = inbox + stored + "." + number
		msg.Header[wire.HeaderReply] = []string{inbox + outcomes + "." + number}
	} else {
		msg.Subject = c.ns.Do(c.load.Aggregate, id, c.load.Command)
		msg.Reply = inbox + outcomes + "." + number
	}
	c.flights[on].add(n, msg, done)
}

// sweep looks for commands without an answer.
func (c *Commands) sweep(timeout time.Duration) {
	defer close(c.swept)
	tick := time.NewTicker(min(timeout/4+1, 250*time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-c.done:
			return
		case <-tick.C:
			for _, f := range c.flights {
				f.sweep(timeout)
			}
		}
	}
}

// Close ends the subscriptions for answers. It is called after [Run] has returned.
func (c *Commands) Close() {
	close(c.done)
	<-c.swept
	c.unsubscribe()
}

func (c *Commands) unsubscribe() {
	for _, sub := range c.subs {
		_ = sub.Unsubscribe()
	}
}
