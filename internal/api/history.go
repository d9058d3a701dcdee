package api

import (
	"context"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/maestro-es/maestro/internal/message"
	"github.com/maestro-es/maestro/internal/wire"
	"github.com/maestro-es/maestro/protocol"
	"github.com/maestro-es/maestro/store"
)

// A page of a history ends at pageEvents events or pageBytes bytes. eventOverhead is what each
// event counts besides its body.
const (
	pageEvents    = 1000
	pageBytes     = 256 << 10
	eventOverhead = 256
)

// history is a page of an aggregate's events, from the log.
type history struct {
	Aggregate string               `json:"aggregate"`
	ID        string               `json:"id"`
	Events    []store.OutcomeEvent `json:"events"`
	// More tells whether there are events after the page: ask again with the last sequence in
	// Maestro-After.
	More bool `json:"more"`
}

// handleHistory answers with an aggregate's events after a sequence.
func (a *API) handleHistory(address string, r micro.Request) {
	_, key, refused := a.parseTarget(address)
	if refused != nil {
		a.Answers.Error(r.Reply(), refused)
		return
	}
	var above int64
	if after := nats.Header(r.Headers()).Get(wire.HeaderAfter); after != "" {
		var err error
		if above, err = message.ParseSequence(wire.HeaderAfter, after); err != nil {
			a.Answers.Error(r.Reply(), &store.Error{Code: protocol.CodeMalformed, Message: err.Error()})
			return
		}
	}
	reply := r.Reply()
	a.inBackground(reply, func(ctx context.Context) {
		var events []store.Event
		done, err := a.Lane.Memory.Reading(ctx)
		if err == nil {
			defer done()
			events, err = a.Lane.Store.Events(ctx, a.partition(key), key, above, pageEvents+1)
		}
		if err == nil {
			err = a.Answers.Send(reply, page(key, events, min(pageBytes, int(a.NATS.MaxPayload())/2)), store.Committed, nil)
		}
		if err != nil {
			a.Answers.Error(reply, errorOf(err))
		}
	})
}

// page cuts the events that were read down to a page of so many bytes, and of at least one event.
// A read ends at store.PageBytes, which is larger than a page.
func page(key store.Key, events []store.Event, most int) history {
	h := history{Aggregate: key.Type, ID: key.ID, Events: []store.OutcomeEvent{}}
	bytes := 0
	for _, e := range events {
		bytes += len(e.Body) + eventOverhead
		if len(h.Events) == pageEvents || len(h.Events) > 0 && bytes > most {
			h.More = true
			break
		}
		h.Events = append(h.Events, e.InOutcome())
	}
	// A read of one large event may have ended because of store.PageBytes, so more events may
	// follow. If none follows, the next page is empty.
	h.More = h.More || len(events) == 1 && len(events[0].Body) >= store.PageBytes
	return h
}
