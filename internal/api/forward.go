package api

import (
	"errors"
	"fmt"
	"maps"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"

	"github.com/maestro-es/maestro/internal/wire"
)

// forwards remembers forwarded requests while the server may still report that nobody is there to
// take them.
type forwards struct {
	inbox string
	mu    sync.Mutex
	sent  map[string]forward
	order []string
}

type forward struct {
	request *request
	by      view
	at      time.Time
}

// bounceWithin is how long a forwarded request is remembered. The server reports at once that
// nobody took a message, so this is plenty.
const bounceWithin = time.Second

// add remembers a request under a new token, and forgets requests that have arrived long ago.
func (f *forwards) add(by view, r *request) (token string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	for len(f.order) > 0 && now.Sub(f.sent[f.order[0]].at) > bounceWithin {
		delete(f.sent, f.order[0])
		f.order = f.order[1:]
	}
	token = nuid.Next()
	f.sent[token] = forward{request: r, by: by, at: now}
	f.order = append(f.order, token)
	return token
}

func (f *forwards) take(token string) (forward, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	found, is := f.sent[token]
	if is {
		f.sent[token] = forward{at: found.at} // its turn in order comes
	}
	return found, is && found.request != nil
}

// forward sends a request to the worker that owns its partition. The owner answers the client
// directly.
func (a *API) forward(by view, r *request) error {
	h := maps.Clone(r.header)
	if h == nil {
		h = nats.Header{}
	}
	h.Set(wire.HeaderForwardedVerb, r.verb)
	h.Set(wire.HeaderForwardedAddress, r.address)
	h.Set(wire.HeaderForwardedReply, r.reply)
	h.Set(wire.HeaderForwardedHops, strconv.Itoa(r.hops+1))
	if r.command != nil {
		h.Set(wire.HeaderCommandID, r.command.ID)
	}
	return a.NATS.PublishMsg(&nats.Msg{Subject: a.Namespace.Forward(by.owner), Header: h, Data: r.body,
		Reply: a.forwards.inbox + "." + a.forwards.add(by, r)})
}

// forwarding holds the subscriptions for requests that other workers forward to this one, and for
// reports that nobody took a request that this worker forwarded.
type forwarding struct{ forwarded, bounced *nats.Subscription }

// refuse ends the subscription to forwarded requests. From then on the server reports to other
// workers at once that nobody takes them.
func (f forwarding) refuse() { _ = f.forwarded.Drain() }

func (f forwarding) close() {
	f.refuse()
	_ = f.bounced.Drain()
}

func (a *API) takeForwarded() (f forwarding, err error) {
	a.forwards.inbox = a.NATS.NewInbox()
	if f.bounced, err = a.NATS.Subscribe(a.forwards.inbox+".*", a.handleBounced); err != nil {
		return f, fmt.Errorf("subscribe to what comes back: %w", err)
	}
	if f.forwarded, err = a.NATS.Subscribe(a.Namespace.Forward(a.ID), a.handleForwarded); err != nil {
		return f, errors.Join(fmt.Errorf("subscribe to what is sent on: %w", err), f.bounced.Unsubscribe())
	}
	return f, nil
}

// handleBounced takes back a forwarded request whose owner is gone.
func (a *API) handleBounced(m *nats.Msg) {
	if m.Header.Get("Status") != "503" {
		return
	}
	if f, is := a.forwards.take(m.Subject[len(a.forwards.inbox)+1:]); is {
		a.Roster.Suspect(f.by.owner)
		a.waiting.add(a, a.partition(f.request.key), f.request, f.by)
	}
}

// handleForwarded takes a request that another worker forwarded to this one.
func (a *API) handleForwarded(m *nats.Msg) {
	hops, _ := strconv.Atoi(m.Header.Get(wire.HeaderForwardedHops)) // a broken number counts as 0
	r := &request{verb: m.Header.Get(wire.HeaderForwardedVerb), address: m.Header.Get(wire.HeaderForwardedAddress),
		header: m.Header, body: m.Data, reply: m.Header.Get(wire.HeaderForwardedReply), hops: hops}
	for _, name := range []string{wire.HeaderForwardedVerb, wire.HeaderForwardedAddress, wire.HeaderForwardedReply, wire.HeaderForwardedHops} {
		m.Header.Del(name)
	}
	switch r.verb {
	case verbDo:
		if a.readDo(r, nil) {
			a.route(r)
		}
	case verbGet:
		a.handleGet(r)
	}
}
