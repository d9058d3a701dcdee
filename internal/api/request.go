package api

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/internal/hlc"
	"github.com/maestro-es/maestro/internal/lane"
	"github.com/maestro-es/maestro/internal/message"
	"github.com/maestro-es/maestro/internal/wire"
	"github.com/maestro-es/maestro/protocol"
	"github.com/maestro-es/maestro/store"
)

// request is a client's request that only the partition's owner can answer: for a command's outcome
// or the current state. Workers forward it until it reaches the owner.
type request struct {
	verb    string // do or get
	address string // what follows the verb in the subject
	header  nats.Header
	body    []byte
	reply   string
	key     store.Key
	command *lane.Command // of a do
	hops    int
	// These fields are used while the request waits for an owner. by is the view that it could not
	// be routed by. again is when it is tried again by the same view; zero means never. rests
	// counts its rests. At expires it is refused.
	by      view
	again   time.Time
	rests   int
	expires time.Time
}

// requestBytes is roughly the memory of a request besides its body.
const requestBytes = 1 << 10

// weight returns the bytes that a request takes from the budget while it waits for an owner.
func (r *request) weight() int64 { return int64(len(r.body)) + requestBytes }

const (
	verbDo  = "do"
	verbGet = "get"
	// restAfter is how often a request is forwarded before it waits for the workers' views to
	// agree. maxHops is how often it is forwarded in all.
	restAfter = 2
	maxHops   = 20
	// maxWait is how long a request waits for an owner.
	maxWait = 5 * time.Second
)

// readDo parses the command of a request. If the message is not a valid command, or its headers
// cannot be read, it answers at once and returns false.
func (a *API) readDo(r *request, unreadable *lane.Refusal) bool {
	r.command = message.Parse(r.address, r.header, r.body)
	if unreadable != nil {
		r.command.Refusal = unreadable
	}
	r.command.Subject = string(a.Namespace) + ".do." + r.address
	r.command.ID = cmp.Or(r.command.ID, hlc.NewID())
	if refusal := r.command.Refusal; refusal != nil {
		a.Answers.Outcome(r.reply, store.Outcome{Status: refusal.Status, Aggregate: r.command.Key.Type, ID: r.command.Key.ID,
			CommandID: r.command.ID, Error: &store.Error{Code: refusal.Code, Message: refusal.Message}})
		return false
	}
	r.key = r.command.Key
	return true
}

// offer gives the request to a lane of this worker. If the lane stops before it handles the
// request, the request is routed again.
func (a *API) offer(l *lane.Lane, r *request) error {
	if r.verb == verbGet {
		return l.OfferRead(a.read(r))
	}
	command := *r.command
	command.Done = func(result lane.Result) {
		if errors.Is(result.Err, lane.ErrStopped) {
			a.route(r)
			return
		}
		a.Answers.Outcome(r.reply, result.Answer())
	}
	a.Tracing.Start(&command)
	return l.Offer(&command)
}

// read returns the lane task that reads the state and answers the request.
func (a *API) read(r *request) *lane.Read {
	var answer state
	return &lane.Read{Key: r.key, Current: r.header.Get(wire.HeaderConsistency) != consistencyCached,
		Look: func(i aggregate.Instance) (err error) {
			answer, err = a.stateOf(r.key, i)
			return err
		},
		Done: func(err error) {
			if errors.Is(err, lane.ErrStopped) {
				a.route(r)
				return
			}
			a.replyState(r.reply, answer, err)
		}}
}

// refuse answers a request for which no owner was found.
func (a *API) refuse(r *request, why error) {
	again := ": retry with the same command id"
	if r.verb == verbGet {
		again = ": try again"
	}
	a.fail(r, &store.Error{Code: protocol.CodeUnavailable, Message: why.Error() + again})
}

// fail answers a request that did not reach a lane.
func (a *API) fail(r *request, e *store.Error) {
	if r.verb == verbGet {
		a.Answers.Error(r.reply, e)
		return
	}
	a.Answers.Outcome(r.reply, store.Outcome{Status: store.Failed, Aggregate: r.key.Type, ID: r.key.ID, CommandID: r.command.ID, Error: e})
}

// route brings a request to the partition's owner. A request that was forwarded restAfter times
// rests first, so that the workers' views have time to agree.
func (a *API) route(r *request) { a.routeUnless(r, r.hops >= restAfter) }

// routeUnless gives a request to this worker's lane, forwards it to the partition's owner, or lets
// it wait for an owner.
func (a *API) routeUnless(r *request, rest bool) {
	partition := a.partition(r.key)
	l := a.Lanes[partition].Load()
	if l != nil {
		switch err := a.offer(l, r); {
		case err == nil:
			return
		case errors.Is(err, lane.ErrBusy):
			a.refuse(r, err)
			return
		}
	}
	by := a.view(partition)
	by.lane = l
	if by.owner != "" && by.owner != a.ID && !rest {
		switch err := a.forward(by, r); {
		case err == nil:
			return
		case errors.Is(err, nats.ErrMaxPayload):
			a.fail(r, &store.Error{Code: protocol.CodeTooLarge, Message: fmt.Sprintf("with %d bytes the request is too large to be sent on "+
				"to the worker that owns the aggregate: leave 1 KiB of the server's max_payload, or send it durably", len(r.body))})
			return
		}
	}
	a.waiting.add(a, partition, r, by)
}
