package api

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/internal/lane"
	"github.com/maestro-es/maestro/internal/message"
	"github.com/maestro-es/maestro/internal/wire"
	"github.com/maestro-es/maestro/protocol"
	"github.com/maestro-es/maestro/store"
)

// serve starts the NATS micro service, which takes requests for outcomes, states and histories.
func (a *API) serve() (micro.Service, error) {
	ns := string(a.Namespace)
	service, err := micro.AddService(a.NATS, micro.Config{Name: a.Namespace.Service(), Version: "1.0.0",
		Description: "Maestro: event-sourced command processing",
		Metadata:    map[string]string{"worker": a.Worker}})
	if err != nil {
		return nil, fmt.Errorf("add the NATS service: %w", err)
	}
	endpoints := []struct {
		name, subject string
		handle        func(address string, r micro.Request)
	}{
		{"do", ns + ".do.>", a.handleDo},
		{"get", ns + ".get.>", a.readable(func(address string, m micro.Request) {
			a.handleGet(&request{verb: verbGet, address: address, header: nats.Header(m.Headers()), reply: m.Reply()})
		})},
		{"history", ns + ".history.>", a.readable(a.handleHistory)},
		{"snapshot", ns + ".snapshot.>", a.readable(a.handleSnapshot)},
	}
	for _, e := range endpoints {
		prefix := strings.TrimSuffix(e.subject, ">")
		err := service.AddEndpoint(e.name, micro.HandlerFunc(func(r micro.Request) {
			if reply := r.Reply(); reply != "" && wire.CheckReply(reply) != nil {
				return // nobody could receive the outcome
			}
			e.handle(strings.TrimPrefix(r.Subject(), prefix), r)
		}), micro.WithEndpointSubject(e.subject))
		if err != nil {
			return nil, errors.Join(fmt.Errorf("add endpoint %s: %w", e.name, err), service.Stop())
		}
	}
	return service, nil
}

// handleDo takes a command whose outcome is wanted now.
func (a *API) handleDo(address string, m micro.Request) {
	r := &request{verb: verbDo, address: address, header: nats.Header(m.Headers()), body: m.Data(), reply: m.Reply()}
	if a.readDo(r, message.Unreadable(m, r.header)) {
		a.route(r)
	}
}

// readable wraps handle. It answers requests whose headers cannot be read with an error, and passes
// the others to handle.
func (a *API) readable(handle func(string, micro.Request)) func(string, micro.Request) {
	return func(address string, m micro.Request) {
		if refusal := message.Unreadable(m, nats.Header(m.Headers())); refusal != nil {
			a.Answers.Error(m.Reply(), &store.Error{Code: refusal.Code, Message: refusal.Message})
			return
		}
		handle(address, m)
	}
}

// state is the answer to a request for an aggregate's state.
type state struct {
	Aggregate string          `json:"aggregate"`
	ID        string          `json:"id"`
	Sequence  int64           `json:"sequence"`
	Partition int             `json:"partition"`
	State     json.RawMessage `json:"state"`
}

// A client asks for the current state, or for the state that the asked worker has at hand.
const (
	consistencyCurrent = "current"
	consistencyCached  = "cached"
)

// handleGet answers with an aggregate's state: the current one, a cached one, or the state at a
// given sequence.
func (a *API) handleGet(r *request) {
	typ, key, refusal := a.parseTarget(r.address)
	if refusal != nil {
		a.Answers.Error(r.reply, refusal)
		return
	}
	r.key = key
	consistency := cmp.Or(r.header.Get(wire.HeaderConsistency), consistencyCurrent)
	if consistency != consistencyCurrent && consistency != consistencyCached {
		a.Answers.Error(r.reply, &store.Error{Code: protocol.CodeMalformed, Message: fmt.Sprintf("header %s %q: expected current or cached",
			wire.HeaderConsistency, message.Clip(consistency))})
		return
	}
	at := r.header.Get(wire.HeaderSequence)
	if at == "" {
		a.route(r)
		return
	}
	sequence, err := message.ParseSequence(wire.HeaderSequence, at)
	if err != nil {
		a.Answers.Error(r.reply, &store.Error{Code: protocol.CodeMalformed, Message: err.Error()})
		return
	}
	a.replay(typ, key, sequence, r.reply)
}

// replay reads the state at a sequence from the store and answers with it.
func (a *API) replay(typ aggregate.Type, key store.Key, sequence int64, reply string) {
	a.inBackground(reply, func(ctx context.Context) {
		var i aggregate.Instance
		var err error
		if sequence == 0 {
			i = typ.New(key.ID)
		} else {
			i, err = a.Lane.Memory.Replay(ctx, a.Lane.Store, typ, a.partition(key), key.ID, sequence)
		}
		if err == nil && i.Sequence() < sequence {
			err = &store.Error{Code: protocol.CodeSequenceMismatch,
				Message: fmt.Sprintf("%s %s is at sequence %d, it has not come to %d", key.Type, key.ID, i.Sequence(), sequence)}
		}
		var answer state
		if err == nil {
			answer, err = a.stateOf(key, i)
		}
		a.replyState(reply, answer, err)
	})
}

func (a *API) stateOf(key store.Key, i aggregate.Instance) (state, error) {
	body, err := a.Lane.StateOf(key, i)
	return state{Aggregate: key.Type, ID: key.ID, Sequence: i.Sequence(), Partition: a.partition(key), State: body}, err
}

func (a *API) replyState(reply string, answer state, err error) {
	if err == nil {
		err = a.Answers.Send(reply, answer, store.Committed, nil)
	}
	if err != nil {
		a.Answers.Error(reply, errorOf(err))
	}
}

// errorOf returns the error that a client gets for a failed read, with its code.
func errorOf(err error) *store.Error {
	var coded *store.Error
	switch {
	case errors.As(err, &coded):
		return coded
	case errors.Is(err, nats.ErrMaxPayload):
		return &store.Error{Code: protocol.CodeTooLarge, Message: "the answer does not fit into a message"}
	case errors.Is(err, lane.ErrStopped), errors.Is(err, lane.ErrBusy), store.Judge(err).Passes():
		return &store.Error{Code: protocol.CodeUnavailable, Message: err.Error() + ": try again"}
	default:
		return &store.Error{Code: protocol.CodeUnreadableAggregate, Message: err.Error()}
	}
}

// parseTarget reads <aggregate type>.<aggregate id>.
func (a *API) parseTarget(address string) (aggregate.Type, store.Key, *store.Error) {
	name, id, ok := strings.Cut(address, ".")
	if !ok {
		return nil, store.Key{}, &store.Error{Code: protocol.CodeMalformed,
			Message: fmt.Sprintf("address %q: expected <aggregate type>.<aggregate id>", message.Clip(address))}
	}
	key, err := message.ParseKey(name, id)
	if err != nil {
		return nil, store.Key{}, &store.Error{Code: protocol.CodeMalformed, Message: err.Error()}
	}
	typ, known := a.Lane.Types[name]
	if !known {
		return nil, store.Key{}, &store.Error{Code: protocol.CodeUnknownAggregate,
			Message: fmt.Sprintf("no aggregate type %q is defined here", name)}
	}
	return typ, key, nil
}

func (a *API) partition(key store.Key) int {
	return wire.Partition(key.Type, key.ID, len(a.Lanes))
}

// inBackground runs a read of the store, unless there are too many already.
func (a *API) inBackground(reply string, read func(ctx context.Context)) {
	select {
	case a.slots <- struct{}{}:
		go func() {
			defer func() { <-a.slots }()
			ctx, cancel := context.WithTimeout(context.Background(), maxWait)
			defer cancel()
			returned := false
			defer func() {
				if !returned { // the user's code has ended the goroutine
					a.Answers.Error(reply, &store.Error{Code: protocol.CodeUnreadableAggregate,
						Message: "code of the aggregate has ended its goroutine (runtime.Goexit): it must return"})
				}
			}()
			read(ctx)
			returned = true
		}()
	default:
		a.Answers.Error(reply, &store.Error{Code: protocol.CodeUnavailable, Message: "too many reads at a time: try again"})
	}
}
